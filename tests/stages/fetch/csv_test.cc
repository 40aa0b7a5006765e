#include "server/stages/fetch/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "server/base/json.h"
#include "server/base/random.h"
#include "tests/stages/fetch/feeding.h"

namespace millrace::fetch {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

MakeReader Reader(const v1::CsvSource& source = {}) {
  return [source] { return MakeCsvReader(source); };
}

std::vector<std::string> Read(std::string_view text, const v1::CsvSource& source = {}) {
  return ReadEveryWay(Reader(source), text);
}

v1::CsvSource ById(std::string_view column) {
  v1::CsvSource source;
  source.set_id_column(std::string(column));
  return source;
}

TEST(CsvTest, ReadsRowsAsObjectsOfTextInTheOrderOfTheColumns) {
  EXPECT_THAT(Read("id,title\n7,\"a, \"\"b\"\"\"\n8,\\x\t\n", ById("id")),
              ElementsAre(R"(7 {"id":"7","title":"a, \"b\""})", R"(8 {"id":"8","title":"\\x\t"})"));
}

TEST(CsvTest, TakesLineBreaksInQuotesAndBothLineEnds) {
  EXPECT_THAT(Read("a,b\r\n\"x\r\ny\",1\r\n\r\n\"\",\"\"\n"),
              ElementsAre(R"(row-1 {"a":"x\r\ny","b":"1"})", R"(row-2 {"a":"","b":""})"));
}

TEST(CsvTest, NeedsNoLineEndAtTheEndOfTheFile) {
  EXPECT_THAT(Read("a,b\n1,2"), ElementsAre(R"(row-1 {"a":"1","b":"2"})"));
  EXPECT_THAT(Read("a,b\n1,"), ElementsAre(R"(row-1 {"a":"1","b":""})"));
  EXPECT_THAT(Read("a,b\n1,\"2\""), ElementsAre(R"(row-1 {"a":"1","b":"2"})"));
  EXPECT_THAT(Read("a,b"), ElementsAre());
}

TEST(CsvTest, SkipsAByteOrderMark) {
  EXPECT_THAT(Read("\xef\xbb\xbfid\nx\n", ById("id")), ElementsAre(R"(x {"id":"x"})"));
}

v1::CsvSource WithTypes(const std::map<std::string, v1::ValueType>& types) {
  v1::CsvSource source;
  for (const auto& [column, type] : types) (*source.mutable_types())[column] = type;
  return source;
}

TEST(CsvTest, MakesValuesOfTheTypesOfTheirColumns) {
  const v1::CsvSource source = WithTypes({{"score", v1::VALUE_TYPE_NUMBER},
                                          {"day", v1::VALUE_TYPE_DATE},
                                          {"ok", v1::VALUE_TYPE_BOOLEAN},
                                          {"code", v1::VALUE_TYPE_TEXT}});
  EXPECT_THAT(Read("score,day,ok,code,note\n4.50,2024-01-31 10:00,yes,007,x\n\" -3 \",20240131,F,,\n,,,,\n", source),
              ElementsAre(R"(row-1 {"score":4.50,"day":"2024-01-31T10:00:00Z","ok":true,"code":"007","note":"x"})",
                          R"(row-2 {"score":-3,"day":"2024-01-31","ok":false,"code":"","note":""})",
                          R"(row-3 {"score":null,"day":null,"ok":null,"code":"","note":""})"));
  EXPECT_THAT(Read("score\n123456789012345678901234567890\n", WithTypes({{"score", v1::VALUE_TYPE_NUMBER}})),
              ElementsAre(R"(row-1 {"score":123456789012345678901234567890})"));
}

TEST(CsvTest, FailsARowWhoseValueIsNotOfItsType) {
  const v1::CsvSource source = WithTypes({{"score", v1::VALUE_TYPE_NUMBER}});
  EXPECT_THAT(
      Read("id,score\n1,n/a\n2,5\n3,\"1,234\"\n", source),
      ElementsAre("! BAD_ROW line 2, byte 11: column \"score\": expected a number such as 4.5 or -3, got \"n/a\"",
                  R"(row-2 {"id":"2","score":5})",
                  "! BAD_ROW line 4, byte 22: column \"score\": expected a number such as 4.5 or -3, got "
                  "\"1,234\""));
}

TEST(CsvTest, NamesAColumnWithATypeThatTheHeaderLacks) {
  EXPECT_THAT(Read("id,score\n", WithTypes({{"scoer", v1::VALUE_TYPE_NUMBER}})),
              ElementsAre(AllOf(HasSubstr("no column \"scoer\" (types)"), HasSubstr("score"))));
  v1::CsvSource renamed = WithTypes({{"points", v1::VALUE_TYPE_NUMBER}});
  (*renamed.mutable_rename())["score"] = "points";
  EXPECT_THAT(Read("score\n5\n", renamed), ElementsAre(R"(row-1 {"points":5})"));
}

TEST(CsvTest, TakesAnotherDelimiterAndNames) {
  v1::CsvSource source = ById("id");
  source.set_delimiter(";");
  (*source.mutable_rename())["TITLE"] = "title";
  source.add_required_columns("title");
  EXPECT_THAT(Read("id;TITLE\n1;a,b\n", source), ElementsAre(R"(1 {"id":"1","title":"a,b"})"));
}

TEST(CsvTest, KeepsRaggedRowsAsFailedItemsWithLineAndByte) {
  EXPECT_THAT(Read("a,b\n1\n1,2,3\n1,2\n"),
              ElementsAre("! BAD_ROW line 2, byte 4: the row has 1 of the header's 2 fields",
                          "! BAD_ROW line 3, byte 10: the row has more than 2 fields", R"(row-3 {"a":"1","b":"2"})"));
}

TEST(CsvTest, LosesOnlyTheLineOfAQuoteThatIsNeverClosed) {
  EXPECT_THAT(Read("a,b\n1,\"x\n2,y\n3,z\n"),
              ElementsAre("! BAD_ROW line 2, byte 6: a quote is opened and never closed", R"(row-2 {"a":"2","b":"y"})",
                          R"(row-3 {"a":"3","b":"z"})"));
  EXPECT_THAT(Read("a,b\n1,\"x\n2,\"y\"\n3,z\n"),
              ElementsAre(StartsWith("! BAD_ROW line 3, byte 12: text follows a closing quote"),
                          R"(row-2 {"a":"2","b":"y"})", R"(row-3 {"a":"3","b":"z"})"));
}

TEST(CsvTest, BoundsAFieldAndContinuesAtTheNextLine) {
  v1::CsvSource source;
  source.set_max_field_bytes(8);
  EXPECT_THAT(Read("a,b\n1,123456789\n2,12345678\n3,\"a\nb,c\n4,\"\"\n5,6\n", source),
              ElementsAre(StartsWith("! BAD_ROW line 2, byte 6: field 2 is larger than 8 bytes"),
                          R"(row-2 {"a":"2","b":"12345678"})", StartsWith("! BAD_ROW line 4, byte 29: field 2"),
                          R"(row-4 {"a":"b","b":"c"})", R"(row-5 {"a":"4","b":""})", R"(row-6 {"a":"5","b":"6"})"));
}

TEST(CsvTest, RefusesRowsWithNulLoneReturnOrOtherThanUtf8) {
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(Read("a,b\n1,x\0y\n2,x\ry\n3,caf\xe9\n4,\xed\xa0\x80\n5,\xc3\xa9\n"sv),
              ElementsAre("! BAD_ROW line 2, byte 7: the row has a NUL byte",
                          "! BAD_ROW line 3, byte 13: a carriage return outside quotes has no line feed after it",
                          StartsWith("! BAD_ROW line 4, byte 21: the text is not UTF-8"),
                          StartsWith("! BAD_ROW line 5, byte 25: the text is not UTF-8"),
                          "row-5 {\"a\":\"5\",\"b\":\"\xc3\xa9\"}"));
}

TEST(CsvTest, ChecksIds) {
  const std::string long_id(257, 'x');
  EXPECT_THAT(
      Read("id\n\"\"\na\tb\n" + long_id + "\n\xc2\x85\nok\n", ById("id")),
      ElementsAre(HasSubstr("BAD_ITEM_ID line 2, byte 4: the id is empty"), HasSubstr("control character: a\\x09b"),
                  HasSubstr("257 bytes"), HasSubstr("control character"), R"(ok {"id":"ok"})"));
}

TEST(CsvTest, RefusesASourceThatItCannotReadAtAll) {
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(Read(""), ElementsAre("error the file has no header row"));
  EXPECT_THAT(Read("\xff\xfe\x61\0"sv), ElementsAre(HasSubstr("iconv -f UTF-16 -t UTF-8")));
  EXPECT_THAT(Read("\0a\0,"sv), ElementsAre(HasSubstr("iconv -f UTF-16 -t UTF-8")));
  EXPECT_THAT(Read("a,b,a,b,c\n"), ElementsAre(HasSubstr("columns twice: \"a\", \"b\"")));
  EXPECT_THAT(Read("titel,ID\n", ById("id")),
              ElementsAre(HasSubstr("no column \"id\" (id_column); did you mean \"ID\"?")));
  EXPECT_THAT(Read("a,\"b\n1,2\n"), ElementsAre(HasSubstr("the header can't be read: a quote is opened")));
  EXPECT_THAT(Read("a\rb\r1\r2\r"), ElementsAre(HasSubstr("carriage return")));
  v1::CsvSource source;
  source.add_required_columns("title");
  EXPECT_THAT(Read("id,titel\n", source), ElementsAre(HasSubstr("did you mean \"titel\"?")));
}

TEST(CsvTest, NamesTheDelimiterThatTheHeaderSeemsToHave) {
  EXPECT_THAT(Read("id;title\n1;a\n"),
              ElementsAre(HasSubstr("if its 2 columns are separated by `;`, add `delimiter: \";\"` to `csv`")));
  EXPECT_THAT(Read("id\ttitle\tday\n", ById("id")), ElementsAre(HasSubstr("its 3 columns are separated by `\\t`")));
  EXPECT_THAT(Read("id|title\n"), ElementsAre(HasSubstr("separated by `|`")));
  v1::CsvSource source;
  source.set_delimiter(",");  // the default, as the reader of pipelines fills it in
  EXPECT_THAT(Read("a;b\nx\n", source), ElementsAre(HasSubstr("add `delimiter: \";\"`")));
  (*source.mutable_rename())["a;b"] = "ab";
  EXPECT_THAT(Read("a;b\nx\n", source), ElementsAre(R"(row-1 {"ab":"x"})"));
}

TEST(CsvTest, BoundsColumns) {
  std::string header;
  for (int i = 0; i < 1'000'001; ++i) header += "c,";
  EXPECT_THAT(ReadAll(Reader(), header + "\n1\n"), ElementsAre(HasSubstr("more than 1000000 fields")));
  EXPECT_THAT(ReadAll(Reader(), "a,b\n" + header + "\n1,2\n"),
              ElementsAre(HasSubstr("more than 2 fields"), R"(row-2 {"a":"1","b":"2"})"));
}

TEST(CsvTest, BoundsARowWithoutEnd) {
  const std::string row = "a\n\"" + std::string(40 << 20, 'x');
  EXPECT_THAT(ReadAll(Reader(), row), ElementsAre(HasSubstr("larger than 1048576 bytes")));
  v1::CsvSource source;
  source.set_max_field_bytes(64 << 20);
  std::string columns = "a,b,c\n" + std::string(60 << 20, 'x') + "," + std::string(60 << 20, 'x') + ",";
  EXPECT_THAT(ReadAll(Reader(source), columns + std::string(60 << 20, 'x') + "\n1,2,3\n", {.piece = 8 << 20}),
              ElementsAre(HasSubstr("the row is larger"), R"(row-2 {"a":"1","b":"2","c":"3"})"));
}

TEST(CsvTest, GivesTheSameRowsOfAnyBytesInAnyPieces) {
  Random random(1);
  v1::CsvSource source;
  source.set_max_field_bytes(12);
  constexpr std::string_view kAlphabet = "ab,,\"\"\"\n\n\r\xc3\xa9";
  for (int round = 0; round < 300; ++round) {
    std::string text = "a,b\n";
    const size_t size = random.Below(60);
    for (size_t i = 0; i < size; ++i) text.push_back(kAlphabet[random.Below(kAlphabet.size())]);
    EXPECT_THAT(Read(text, source), testing::Not(testing::Contains(HasSubstr("other rows")))) << Excerpt(text, 200);
  }
}

std::string Slurp(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(CsvTest, ReadsEveryFileOfCsvSpectrumAsItsJsonSays) {
  const char* const data = std::getenv("MILLRACE_DATA");
  const std::filesystem::path folder = std::filesystem::path(data ? data : "../shared/data") / "bad-inputs/csv";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no CSV files of csv-spectrum at " << folder;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "csvs")) {
    const std::string name = entry.path().stem().string();
    json::value expected = json::parse(Slurp(folder / "json" / (name + ".json")));
    if (expected.is_object()) expected = json::array{expected};
    json::array rows;
    for (const std::string& row : Read(Slurp(entry.path()))) {
      ASSERT_THAT(row, StartsWith("row-")) << name;
      rows.push_back(json::parse(row.substr(row.find(' ') + 1)));
    }
    if (name == "location_coordinates") {
      // Its JSON has another phone number than its CSV.
      expected.at(0).as_object()["Contact Phone Number"] = rows.at(0).at("Contact Phone Number");
    }
    EXPECT_EQ(rows, expected) << name;
    ++files;
  }
  EXPECT_EQ(files, 12);
}

TEST(CsvTest, ReadsManyRowsFast) {
  std::string text = "id,date,title,text,publisher\n";
  constexpr int kRows = 200'000;
  for (int i = 0; i < kRows; ++i) {
    text += fmt::format(
        "d{:06},2020-04-01,\"A \"\"ship\"\" no. {} launches, and so on\",Some text of a usual length,Paper\n", i, i);
  }
  const auto begun = std::chrono::steady_clock::now();
  const std::unique_ptr<RowReader> reader = MakeCsvReader(ById("id"));
  size_t rows = 0;
  size_t consumed = 0;
  for (size_t given = 0; given < text.size();) {
    given = std::min(text.size(), given + (1 << 18));
    const auto fed = reader->Feed(std::string_view(text).substr(consumed, given - consumed), given == text.size());
    ASSERT_TRUE(fed.ok());
    consumed += fed->consumed;
    rows += fed->rows.size();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  EXPECT_EQ(rows, kRows);
  RecordProperty("rows_per_second", static_cast<int>(kRows / seconds));
  std::printf("CSV: %.0f rows/s\n", kRows / seconds);
}

}  // namespace
}  // namespace millrace::fetch
