#include "server/stages/store/affinity.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include "server/base/random.h"

namespace millrace::store {
namespace {

TEST(AffinityTest, FollowsTheRulesOfSqliteForDeclaredTypes) {
  for (const char* type : {"INT", "bigint", "INTEGER", "CHARINT", "FLOATING POINT"}) {
    EXPECT_EQ(AffinityOf(type), Affinity::kInteger) << type;
  }
  for (const char* type : {"TEXT", "varchar(20)", "CLOB"}) EXPECT_EQ(AffinityOf(type), Affinity::kText) << type;
  for (const char* type : {"", "BLOB"}) EXPECT_EQ(AffinityOf(type), Affinity::kNone) << type;
  for (const char* type : {"REAL", "double precision", "FLOAT"}) EXPECT_EQ(AffinityOf(type), Affinity::kReal) << type;
  for (const char* type : {"NUMERIC", "DECIMAL(10,5)", "DATE", "STRING"}) {
    EXPECT_EQ(AffinityOf(type), Affinity::kNumeric) << type;
  }
}

// Asks SQLite itself about texts that are near to numbers.
TEST(AffinityTest, KnowsWhatSqliteTakesForANumber) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(":memory:", &database), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(database, "CREATE TABLE t (n INTEGER, r REAL, m NUMERIC, x TEXT, b)", nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_stmt* insert = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(database,
                               "INSERT INTO t VALUES (?1, ?1, ?1, ?1, ?1) RETURNING typeof(n), typeof(r), typeof(m)",
                               -1, &insert, nullptr),
            SQLITE_OK);
  const std::string alphabet = "0179+-.eE \t\nx";
  Random random(11);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (uint64_t length = random.Below(7); text.size() < length;) text += alphabet[random.Below(alphabet.size())];
    sqlite3_bind_text(insert, 1, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    ASSERT_EQ(sqlite3_step(insert), SQLITE_ROW);
    const Affinity affinities[] = {Affinity::kInteger, Affinity::kReal, Affinity::kNumeric};
    for (int column = 0; column < 3; ++column) {
      const bool is_kept =
          std::string_view(reinterpret_cast<const char*>(sqlite3_column_text(insert, column))) == "text";
      ASSERT_EQ(KeepsValue(affinities[column], SqlValue(text)), is_kept) << '"' << text << '"';
    }
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  sqlite3_close(database);
}

TEST(AffinityTest, ANumberIsKeptAsTheSameNumber) {
  EXPECT_TRUE(KeepsValue(Affinity::kReal, SqlValue(int64_t{1} << 53)));
  EXPECT_FALSE(KeepsValue(Affinity::kReal, SqlValue((int64_t{1} << 53) + 1)));
  EXPECT_FALSE(KeepsValue(Affinity::kReal, SqlValue(INT64_MAX)));
  EXPECT_TRUE(KeepsValue(Affinity::kReal, SqlValue(INT64_MIN)));
  EXPECT_TRUE(KeepsValue(Affinity::kInteger, SqlValue(0.5)));
  EXPECT_FALSE(KeepsValue(Affinity::kText, SqlValue(0.5)));
  EXPECT_TRUE(KeepsValue(Affinity::kText, SqlValue(std::monostate())));
  EXPECT_TRUE(KeepsValue(Affinity::kNone, SqlValue(std::string("007"))));
}

}  // namespace
}  // namespace millrace::store
