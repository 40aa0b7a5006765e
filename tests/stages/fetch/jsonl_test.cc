#include "server/stages/fetch/jsonl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "server/base/random.h"
#include "tests/stages/fetch/feeding.h"

namespace millrace::fetch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::string> Read(std::string_view text, const v1::JsonlSource& source = {}) {
  return ReadEveryWay([source] { return MakeJsonlReader(source); }, text);
}

v1::JsonlSource ById(std::string_view field) {
  v1::JsonlSource source;
  source.set_id_field(std::string(field));
  return source;
}

TEST(JsonlTest, KeepsTheTextOfEachLine) {
  EXPECT_THAT(Read("\xef\xbb\xbf{\"b\":1.50,\"a\":12345678901234567890123}\r\n\n  {\"x\": [] }  \n{}"),
              ElementsAre(R"(row-1 {"b":1.50,"a":12345678901234567890123})", R"(row-2 {"x": [] })", "row-3 {}"));
}

TEST(JsonlTest, TakesTextAndWholeNumbersAsIds) {
  EXPECT_THAT(
      Read("{\"id\":\"a\"}\n{\"id\":-7}\n{\"id\":1.5}\n{\"id\":null}\n{}\n{\"id\":\"\"}\n", ById("id")),
      ElementsAre(R"(a {"id":"a"})", R"(-7 {"id":-7})", HasSubstr("BAD_ITEM_ID line 3, byte 21: the id in \"id\""),
                  HasSubstr("BAD_ITEM_ID line 4"), HasSubstr("no member \"id\""), HasSubstr("the id is empty")));
}

TEST(JsonlTest, KeepsBadLinesAsFailedItems) {
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(
      Read(
          "{\"a\":1}}\n[1]\n{\"a\":1,\"a\":2}\n{\"a\":\"\xff\"}\n{\"a\":\"x\0\"}\n{\"a\":1e99999999999}\n{\"half\":"sv),
      ElementsAre(
          StartsWith("! BAD_ROW line 1, byte 0: "), StartsWith("! BAD_ITEM line 2, byte 9: it is not a JSON object"),
          StartsWith("! BAD_ROW line 3, byte 13: "), StartsWith("! BAD_ROW line 4, byte 27: the text is not UTF-8"),
          HasSubstr("NUL"), StartsWith("! BAD_ROW line 6"), HasSubstr("(the file ends in this line)")));
}

TEST(JsonlTest, KeepsTheCharactersOfNumbers) {
  const std::string line = R"({"id":123456789012345678901234567890,"a":[1e400,19.90,-0,1E5,0.10]})";
  EXPECT_THAT(Read(line, ById("id")), ElementsAre("123456789012345678901234567890 " + line));
  EXPECT_THAT(Read(R"({"id":1e5})", ById("id")), ElementsAre(HasSubstr("neither text nor a whole number")));
}

TEST(JsonlTest, BoundsDepthAndLines) {
  v1::JsonlSource source;
  source.set_max_line_bytes(16);
  EXPECT_THAT(
      Read("{\"a\":\"1234567890\"}\n{\"a\":\"123456789\"}\n{}\n", source),
      ElementsAre("! BAD_ROW line 1, byte 0: the line is larger than 16 bytes", HasSubstr("line 2"), "row-3 {}"));
  const std::string deep = "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_THAT(Read(deep), ElementsAre(StartsWith("! BAD_ROW line 1")));
}

TEST(JsonlTest, RenamesMembersAndNothingElse) {
  v1::JsonlSource source = ById("key");
  (*source.mutable_rename())["ID"] = "key";
  (*source.mutable_rename())["q\"t"] = "t";
  EXPECT_THAT(Read(R"({"ID":"1","x":{"ID":"ID"},"q\"t":["ID",{"ID":1e2}],"y":"a\"ID\""})", source),
              ElementsAre(R"(1 {"key":"1","x":{"ID":"ID"},"t":["ID",{"ID":1e2}],"y":"a\"ID\""})"));
  EXPECT_THAT(Read(R"({"ID":"1","key":"2"})", source), ElementsAre(HasSubstr("BAD_ITEM line 1, byte 0: renaming")));
}

TEST(JsonlTest, RefusesUtf16) {
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(Read("{\0}\0"sv), ElementsAre(HasSubstr("iconv")));
  EXPECT_THAT(Read(""), ElementsAre());
}

TEST(JsonlTest, GivesTheSameRowsOfAnyBytesInAnyPieces) {
  Random random(2);
  v1::JsonlSource source;
  source.set_max_line_bytes(9);
  constexpr std::string_view kAlphabet = "{}{}\"a:1 \n\n\r";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const size_t size = random.Below(60);
    for (size_t i = 0; i < size; ++i) text.push_back(kAlphabet[random.Below(kAlphabet.size())]);
    EXPECT_THAT(Read(text, source), testing::Not(testing::Contains(HasSubstr("other rows")))) << Excerpt(text, 200);
  }
}

TEST(JsonlTest, TakesEveryFileOfJsonTestSuiteAsItsNameSays) {
  const char* const data = std::getenv("MILLRACE_DATA");
  const std::filesystem::path folder = std::filesystem::path(data ? data : "../shared/data") / "bad-inputs/json";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no files of JSONTestSuite at " << folder;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    const std::string name = entry.path().filename().string();
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    ++files;
    // As the member of an object on one line; files of several lines are read by ParseJson's own tests.
    const std::string value = text.str();
    if (value.find_first_of("\r\n") != std::string::npos) continue;
    const MakeReader make = [] { return MakeJsonlReader({}); };
    const std::vector<std::string> rows = ReadAll(make, "{\"v\":" + value + "}", {.piece = 4096});
    // A duplicate name is a refusal of our own.
    if (name.starts_with("y_") && name.find("duplicated") == std::string::npos) {
      EXPECT_THAT(rows, ElementsAre(StartsWith("row-1 "))) << name;
    }
    if (name.starts_with("n_")) {
      EXPECT_THAT(rows, ElementsAre(StartsWith("! BAD_ROW"))) << name;
    }
  }
  EXPECT_GT(files, 200);
}

}  // namespace
}  // namespace millrace::fetch
