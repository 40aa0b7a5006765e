// `millrace embed` over a store of its own, with the backend `local`.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <iostream>
#include <sstream>

#include "client/cli/output.h"
#include "server/base/json.h"
#include "tests/api/served.h"
#include "tests/client/whole_command.h"
#include "tests/storage/temporary_directory.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class EmbedCommandTest : public testing::Test {
 protected:
  Ended Embed(std::vector<std::string> texts, const std::string& lines = "") {
    std::vector<std::string> arguments = {"--data-dir", directory_.path() + "/data", "embed", "local", "--dimensions",
                                          "4"};
    arguments.insert(arguments.end(), texts.begin(), texts.end());
    std::istringstream input(lines);
    std::streambuf* const before = std::cin.rdbuf(input.rdbuf());
    Ended ended = RunWhole(std::move(arguments));
    std::cin.rdbuf(before);
    std::cin.clear();
    return ended;
  }
  static std::vector<json::value> Lines(const std::string& out) {
    std::vector<json::value> values;
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);) {
      // A store that the command holds logs to the same stream in this test.
      if (line.starts_with('{')) values.push_back(ParseJson(line).value_or(json::value()));
    }
    return values;
  }

  TemporaryDirectory directory_;
};

TEST_F(EmbedCommandTest, EachTextIsALineOfJsonAndKnownTextsAreCached) {
  const Ended first = Embed({"a \"mill\"", "a race"});
  ASSERT_EQ(first.exit, kDone) << first.err;
  const std::vector<json::value> vectors = Lines(first.out);
  ASSERT_THAT(vectors, SizeIs(2));
  EXPECT_EQ(vectors[0].at("text"), json::value("a \"mill\""));
  EXPECT_EQ(vectors[0].at("cached"), json::value(false));
  EXPECT_THAT(vectors[0].at("vector").as_array(), SizeIs(4));
  EXPECT_THAT(first.err, HasSubstr("2 texts, 0 cached, 0 tokens"));
  const Ended second = Embed({}, "a race\r\nnew\n");
  ASSERT_EQ(second.exit, kDone) << second.err;
  ASSERT_THAT(Lines(second.out), SizeIs(2));
  EXPECT_EQ(Lines(second.out)[0].at("vector"), vectors[1].at("vector"));
  EXPECT_EQ(Lines(second.out)[0].at("cached"), json::value(true));
  EXPECT_EQ(Lines(second.out)[1].at("cached"), json::value(false));
}

// The mark made another text of the first line, which was paid for again.
TEST_F(EmbedCommandTest, AByteOrderMarkDoesNotBelongToTheFirstText) {
  ASSERT_EQ(Embed({}, "aa\nbb\n").exit, kDone);
  const Ended marked = Embed({},
                             "\xef\xbb\xbf"
                             "aa\r\nbb\r\n");
  ASSERT_EQ(marked.exit, kDone) << marked.err;
  EXPECT_THAT(marked.err, HasSubstr("2 texts, 2 cached"));
  EXPECT_EQ(Lines(marked.out)[0].at("text"), json::value("aa"));
}

TEST_F(EmbedCommandTest, AnInputWithoutTextIsAnError) {
  const Ended ended = Embed({}, "");
  EXPECT_EQ(ended.exit, kUsage);
  EXPECT_THAT(Lines(ended.out), IsEmpty());
  EXPECT_THAT(ended.err, HasSubstr("standard input has no text"));
}

TEST_F(EmbedCommandTest, AnEmptyLineIsRefusedBecauseVectorsAreMatchedWithLines) {
  const Ended ended = Embed({}, "a race\n\nnew\n");
  EXPECT_EQ(ended.exit, kUsage);
  EXPECT_THAT(Lines(ended.out), IsEmpty());
  EXPECT_THAT(ended.err, HasSubstr("line 2 of standard input is empty"));
}

TEST_F(EmbedCommandTest, AServerThatReturnsFewerVectorsIsAnError) {
  Served served;
  const Ended ended = RunWhole({"embed", "m", "text", "--server", served.target()});
  EXPECT_EQ(ended.exit, kRunFailed);
  EXPECT_THAT(ended.err, HasSubstr("the server returned 0 vectors for 1 texts"));
}

}  // namespace
}  // namespace millrace::cli
