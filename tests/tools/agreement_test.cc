// The agreement tool on small results and truths that are written for it.
#include "tools/agreement/agreement.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

class AgreementTest : public testing::Test {
 protected:
  AgreementTest()
      : folder_(std::filesystem::temp_directory_path() / ("millrace-agreement-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~AgreementTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  std::string Database(const std::string& statements) const {
    const std::string path = Path("result.db");
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, statements.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
    return path;
  }

 private:
  const std::filesystem::path folder_;
};

constexpr char kTable[] = "CREATE TABLE family_titles(family_id TEXT, title_id TEXT);";

TEST_F(AgreementTest, ScoresAResultAgainstItsTruth) {
  const std::string result =
      Database(std::string(kTable) + "INSERT INTO family_titles VALUES('x','1'),('x','2'),('x','3');");
  const auto agreement = Agree(result, Write("truth.csv", "id,family\n1,a\n2,a\n3,b\n4,b\n"));
  ASSERT_TRUE(agreement.ok()) << agreement.status();
  EXPECT_EQ(agreement->titles, 4u);
  EXPECT_EQ(agreement->assigned, 3u);
  EXPECT_NEAR(agreement->scores.precision, 2.0 / 3, 1e-12);
  EXPECT_NEAR(agreement->scores.recall, 0.75, 1e-12);
  EXPECT_NEAR(agreement->alone.recall, 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(agreement->alone.precision, 1);
}

TEST_F(AgreementTest, ReadsColumnsByName) {
  const std::string result = Database(std::string(kTable) + "INSERT INTO family_titles VALUES('x','1'),('x','2');");
  const auto agreement = Agree(result, Write("truth.csv", "family,note,id\n\"a, b\",,1\n\"a, b\",,2\n"));
  ASSERT_TRUE(agreement.ok()) << agreement.status();
  EXPECT_DOUBLE_EQ(agreement->scores.f1, 1);
}

TEST_F(AgreementTest, AnEmptyResultIsEveryTitleAlone) {
  const auto agreement = Agree(Database(kTable), Write("truth.csv", "id,family\n1,a\n2,a\n"));
  ASSERT_TRUE(agreement.ok()) << agreement.status();
  EXPECT_EQ(agreement->assigned, 0u);
  EXPECT_DOUBLE_EQ(agreement->scores.f1, agreement->alone.f1);
}

TEST_F(AgreementTest, SaysWhichFileIsWrong) {
  const std::string truth = Write("truth.csv", "id,family\n1,a\n");
  const auto message = [](const StatusOr<Agreement>& agreement) { return MessageOf(agreement.status()); };
  EXPECT_EQ(message(Agree(Path("absent.db"), truth)), Path("absent.db") + ": no such file");
  EXPECT_EQ(message(Agree(Write("no.db", "this is no database at all, only some text"), truth)),
            Path("no.db") + ": expected a SQLite file with the table family_titles");
  const std::string result = Database(std::string(kTable) + "INSERT INTO family_titles VALUES('x','1'),('y','1');");
  EXPECT_EQ(message(Agree(result, truth)), result + ": title 1 is in two families");
  const std::string empty = Database("DELETE FROM family_titles;");
  EXPECT_EQ(message(Agree(empty, Path("absent.csv"))), Path("absent.csv") + ": no such file");
  EXPECT_EQ(message(Agree(empty, Write("other.csv", "id,group\n1,a\n"))),
            Path("other.csv") + ": expected the columns id and family");
}

}  // namespace
}  // namespace millrace
