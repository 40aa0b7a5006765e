#include "backends/sdk/ndjson.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::backend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Returns the lines of pieces, with the rest after the last line end.
std::vector<std::string> Lines(const std::vector<std::string>& pieces, size_t line_bytes_max = 100) {
  NdjsonReader reader(line_bytes_max);
  std::vector<std::string> lines;
  for (const std::string& piece : pieces) {
    reader.Add(piece);
    while (const std::optional<std::string_view> line = reader.Next()) lines.emplace_back(*line);
  }
  if (reader.is_too_long()) {
    lines.emplace_back("too long");
  } else if (const std::optional<std::string_view> rest = reader.Rest()) {
    lines.emplace_back(*rest);
  }
  return lines;
}

TEST(NdjsonTest, LinesAreTheSameHoweverTheBytesAreCut) {
  const std::string bytes = "\n{\"a\":1}\r\n\r\n \t\n{\"b\":2}\n{\"c\":3}";
  for (size_t first = 0; first <= bytes.size(); ++first) {
    for (size_t second = first; second <= bytes.size(); ++second) {
      const std::vector<std::string> pieces = {bytes.substr(0, first), bytes.substr(first, second - first),
                                               bytes.substr(second)};
      ASSERT_THAT(Lines(pieces), ElementsAre("{\"a\":1}", "{\"b\":2}", "{\"c\":3}")) << first << " " << second;
    }
  }
}

TEST(NdjsonTest, BlankBytesAreNotALine) {
  EXPECT_THAT(Lines({}), IsEmpty());
  EXPECT_THAT(Lines({"\n\n"}), IsEmpty());
  EXPECT_THAT(Lines({"x\n", " \r"}), ElementsAre("x"));
}

TEST(NdjsonTest, ALineBeyondTheLimitEndsTheReading) {
  EXPECT_THAT(Lines({"1234\n12345\n"}, 4), ElementsAre("1234", "too long"));
  EXPECT_THAT(Lines({"1", "2", "3", "4", "5"}, 4), ElementsAre("too long"));
  EXPECT_THAT(Lines({"12345\n1\n"}, 4), ElementsAre("too long")) << "no line after it is returned";
}

}  // namespace
}  // namespace millrace::backend
