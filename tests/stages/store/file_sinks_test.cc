#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "server/base/random.h"
#include "server/stages/store/aside_file.h"
#include "tests/base/child.h"
#include "tests/stages/store/writing.h"

namespace millrace::store {
namespace {

using testing::HasSubstr;

v1::Store Jsonl(const std::filesystem::path& path) {
  v1::Store store;
  store.mutable_jsonl()->set_path(path.string());
  return store;
}

v1::Store Csv(const std::filesystem::path& path, const std::vector<std::string>& columns) {
  v1::Store store;
  store.mutable_csv()->set_path(path.string());
  for (const std::string& column : columns) store.mutable_csv()->add_columns(column);
  return store;
}

std::vector<std::string> Names(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

TEST(JsonlSinkTest, WritesOneItemALineAsItIs) {
  const TempDir dir;
  ASSERT_TRUE(WriteItems(Jsonl(dir / "out.jsonl"),
                         {R"({"b": 1.50, "a": "x\n"})", "{\n\"c\":\r\n12345678901234567890123}", "{}"})
                  .ok());
  EXPECT_EQ(Slurp(dir / "out.jsonl"), "{\"b\": 1.50, \"a\": \"x\\n\"}\n{ \"c\":  12345678901234567890123}\n{}\n");
  EXPECT_THAT(Names(dir.path()), testing::ElementsAre("out.jsonl"));
}

TEST(AsideFileTest, StagesOfARunWriteApart) {
  const TempDir dir;
  const std::string path = (dir / "out").string();
  const OutputOpener open = *FileRoots({}, {"/"}).OpenerToWrite(path);
  AsideFile one(open, "out", AsideOwner("r-1", "one"));
  AsideFile two(open, "out", AsideOwner("r-1", "two"));
  ASSERT_TRUE(one.Open().ok());
  ASSERT_TRUE(two.Open().ok());
  ASSERT_TRUE(one.Write("one\n").ok());
  ASSERT_TRUE(two.Write("2\n").ok());
  ASSERT_TRUE(one.Commit().ok());
  EXPECT_EQ(Slurp(path), "one\n");
  ASSERT_TRUE(two.Commit().ok());
  EXPECT_EQ(Slurp(path), "2\n");
}

TEST(AsideFileTest, ALeftoverIsRemovedAndNotWrittenThrough) {
  const TempDir dir;
  std::ofstream(dir / "precious") << "precious";
  std::filesystem::create_hard_link(dir / "precious", dir / ".out.tmp-r-1-one");
  AsideFile file(*FileRoots({}, {"/"}).OpenerToWrite((dir / "out").string()), "out", AsideOwner("r-1", "one"));
  ASSERT_TRUE(file.Open().ok());
  ASSERT_TRUE(file.Write("one\n").ok());
  ASSERT_TRUE(file.Commit().ok());
  EXPECT_EQ(Slurp(dir / "precious"), "precious");
  EXPECT_EQ(Slurp(dir / "out"), "one\n");
}

TEST(AsideFileTest, WritesIntoTheDirectoryThatItOpenedWhateverHasItsNameNow) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "a");
  std::filesystem::create_directories(dir / "elsewhere");
  AsideFile file(*FileRoots({}, {"/"}).OpenerToWrite((dir / "a/out").string()), "out", AsideOwner("r-1", "one"));
  ASSERT_TRUE(file.Open().ok());
  std::filesystem::rename(dir / "a", dir / "b");
  std::filesystem::create_symlink(dir / "elsewhere", dir / "a");
  ASSERT_TRUE(file.Write("one\n").ok());
  ASSERT_TRUE(file.Commit().ok());
  EXPECT_EQ(Slurp(dir / "b/out"), "one\n");
  EXPECT_TRUE(Names(dir / "elsewhere").empty());
}

TEST(JsonlSinkTest, SaysWhatIsWrongWithThePath) {
  const TempDir dir;
  const Status missing = WriteItems(Jsonl(dir / "no/out.jsonl"), {"{}"});
  EXPECT_EQ(ReasonOf(missing), Reason::kFileError);
  EXPECT_THAT(std::string(MessageOf(missing)), HasSubstr("the directory of"));
  std::filesystem::create_directory(dir / "taken");
  EXPECT_THAT(std::string(MessageOf(WriteItems(Jsonl(dir / "taken"), {"{}"}))), HasSubstr("Is a directory"));
  EXPECT_THAT(Names(dir.path()), testing::ElementsAre("taken"));
}

TEST(CsvSinkTest, QuotesWhatNeedsItAndEscapesFormulas) {
  const TempDir dir;
  v1::Store store = Csv(dir / "out.csv", {"id", "x.y", "n"});
  const std::vector<std::string> items = {
      R"({"id":"=1+1","x":{"y":"a,\"b\"\n"},"n":-1.50})", R"({"id":"+x","x":{"y":"-y"},"n":true})",
      R"({"id":"@x","x":{"y":"\tz"},"n":[1,{"b":2}]})", R"({"id":"\nx","x":null,"n":null})", R"({"id":"a-b"})"};
  ASSERT_TRUE(WriteItems(store, items).ok());
  EXPECT_EQ(
      Slurp(dir / "out.csv"),
      "id,x.y,n\r\n'=1+1,\"a,\"\"b\"\"\n\",-1.50\r\n'+x,'-y,true\r\n'@x,'\tz,\"[1,{\"\"b\"\":2}]\"\r\n\"'\nx\",,\r\n"
      "a-b,,\r\n");
  store.mutable_csv()->set_keep_formulas(true);
  ASSERT_TRUE(WriteItems(store, {R"({"id":"=1+1"})"}).ok());
  EXPECT_EQ(Slurp(dir / "out.csv"), "id,x.y,n\r\n=1+1,,\r\n");
}

TEST(CsvSinkTest, APlainNumberGetsNoApostrophe) {
  const TempDir dir;
  std::vector<std::string> items;
  for (const char* text :
       {"-3.25", "+5", "-.5", "-1e5", "+1.5E-3", "-3,25", "-1-1", "+49 30", "-", "-e5", "-1e", "=1", "--1"}) {
    items.push_back(fmt::format(R"({{"a":"{}"}})", text));
  }
  ASSERT_TRUE(WriteItems(Csv(dir / "out.csv", {"a"}), items).ok());
  EXPECT_EQ(Slurp(dir / "out.csv"),
            "a\r\n-3.25\r\n+5\r\n-.5\r\n-1e5\r\n+1.5E-3\r\n\"'-3,25\"\r\n'-1-1\r\n'+49 30\r\n'-\r\n'-e5\r\n'-1e\r\n'=1"
            "\r\n'--1\r\n");
}

// A fetch refuses such a file.
TEST(CsvSinkTest, RefusesANulCharacter) {
  const TempDir dir;
  ASSERT_TRUE(WriteItems(Csv(dir / "out.csv", {"id", "a"}), {R"({"id":"old","a":"x"})"}).ok());
  const Status status = WriteItems(Csv(dir / "out.csv", {"id", "a"}), {R"({"id":"x","a":"b\u0000c"})"});
  EXPECT_EQ(ReasonOf(status), Reason::kSink);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("column a of item i0 has a NUL character"));
  EXPECT_EQ(Slurp(dir / "out.csv"), "id,a\r\nold,x\r\n");
}

TEST(CsvSinkTest, WritesAnEmptyCellOfAnOnlyColumnSoThatItIsRead) {
  const TempDir dir;
  ASSERT_TRUE(WriteItems(Csv(dir / "out.csv", {"a"}), {R"({"a":""})", "{}"}).ok());
  EXPECT_EQ(Slurp(dir / "out.csv"), "a\r\n\"\"\r\n\"\"\r\n");
}

TEST(FileSinkTest, AKilledWriterLeavesTheOldFileOrTheNewOne) {
  const TempDir dir;
  const v1::Store store = Jsonl(dir / "out.jsonl");
  Random random(3);
  ASSERT_TRUE(WriteItems(store, {"{\"old\":1}"}).ok());
  int whole = 0;
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      MadeItems items(20'000, [](int64_t i) { return fmt::format("{{\"new\":{}}}", i); });
      const Status status = WriteAll(store, items);
      ::_exit(status.ok() ? 0 : 1);
    }
    EndsWithin(child, std::chrono::microseconds(random.Below(60'000)));  // a kill at any moment
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string text = Slurp(dir / "out.jsonl");
    if (text == "{\"old\":1}\n") continue;
    ++whole;
    ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 20'000);
    ASSERT_TRUE(text.ends_with("{\"new\":19999}\n"));
    ASSERT_TRUE(WriteItems(store, {"{\"old\":1}"}).ok());
  }
  ASSERT_TRUE(WriteItems(store, {"{\"old\":1}"}).ok());
  EXPECT_THAT(Names(dir.path()), testing::ElementsAre("out.jsonl"));
  RecordProperty("whole", whole);
}

}  // namespace
}  // namespace millrace::store
