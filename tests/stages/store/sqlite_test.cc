#include "server/stages/store/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "server/base/random.h"
#include "server/stages/store/sqlite_database.h"
#include "tests/base/child.h"
#include "tests/stages/store/writing.h"

namespace millrace::store {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The rows that a query gives, cells with `|` between; or the error.
std::vector<std::string> Query(const std::filesystem::path& path, const std::string& sql) {
  sqlite3* database = nullptr;
  sqlite3_open(path.c_str(), &database);
  std::vector<std::string> rows;
  const auto take = [](void* to, int columns, char** values, char**) {
    std::string row;
    for (int i = 0; i < columns; ++i) row += fmt::format("{}{}", i ? "|" : "", values[i] ? values[i] : "NULL");
    static_cast<std::vector<std::string>*>(to)->push_back(row);
    return 0;
  };
  char* error = nullptr;
  if (sqlite3_exec(database, sql.c_str(), take, &rows, &error) != SQLITE_OK)
    rows.push_back(fmt::format("error {}", error));
  sqlite3_free(error);
  sqlite3_close(database);
  return rows;
}

struct TableOf {
  std::string table = "t";
  std::vector<std::string> key = {};
  std::string each = {};
  std::vector<std::pair<std::string, std::string>> columns = {};
  v1::SqliteTable::Mode mode = v1::SqliteTable::MODE_UNSPECIFIED;
};

v1::Store Sqlite(const std::filesystem::path& path, const std::vector<TableOf>& tables) {
  v1::Store store;
  store.mutable_sqlite()->set_path(path.string());
  for (const TableOf& from : tables) {
    v1::SqliteTable* table = store.mutable_sqlite()->add_tables();
    table->set_table(from.table);
    for (const std::string& column : from.key) table->add_key(column);
    table->set_each(from.each);
    for (const auto& [column, source] : from.columns) (*table->mutable_columns())[column] = source;
    table->set_mode(from.mode);
  }
  return store;
}

std::string Problem(const Status& status) { return ReasonNameOf(status) + " " + std::string(MessageOf(status)); }

TEST(SqliteTest, WritesParentsAndChildrenTypedByTheirValues) {
  const TempDir dir;
  const v1::Store store =
      Sqlite(dir / "out.db", {{.table = "families", .key = {"id"}},
                              {.table = "family_titles",
                               .key = {"family_id", "title_id"},
                               .each = "members",
                               .columns = {{"family_id", "item.id"}, {"title_id", "value.id"}, {"place", "index"}}}});
  ASSERT_EQ(Problem(WriteItems(
                store, {R"({"id":"f1","size":2,"share":0.5,"open":true,"none":null,"members":[{"id":"a"},{"id":"b"}]})",
                        R"({"id":"f2","size":1,"members":[{"id":"c"}],"late":"x"})", R"({"id":"f3","mixed":"007"})",
                        R"({"id":"f4","mixed":7})"})),
            " ");
  EXPECT_THAT(
      Query(dir / "out.db", "SELECT * FROM families ORDER BY id"),
      ElementsAre(R"(f1|2|0.5|1|NULL|[{"id":"a"},{"id":"b"}]|NULL|NULL)", R"(f2|1|NULL|NULL|NULL|[{"id":"c"}]|x|NULL)",
                  "f3|NULL|NULL|NULL|NULL|NULL|NULL|007", "f4|NULL|NULL|NULL|NULL|NULL|NULL|7"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT name || ' ' || type || ' ' || pk FROM pragma_table_info('families')"),
              ElementsAre("id TEXT 1", "size INTEGER 0", "share REAL 0", "open INTEGER 0", "none  0", "members TEXT 0",
                          "late TEXT 0", "mixed  0"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT family_id, title_id, place FROM family_titles ORDER BY 1, 2"),
              ElementsAre("f1|a|0", "f1|b|1", "f2|c|0"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT pipeline, stage, run, generation, rows FROM millrace_runs"),
              ElementsAre("p|saved|r-1|r-1/0|7"));
  EXPECT_THAT(Query(dir / "out.db", "PRAGMA journal_mode"), ElementsAre("wal"));
}

TEST(SqliteTest, TakesTheItemsOwnIdAndEntriesThatAreNotObjects) {
  const TempDir dir;
  const v1::Store store = Sqlite(
      dir / "out.db", {{.table = "a", .key = {"id"}},
                       {.table = "b", .each = "tags"},
                       {.table = "c", .each = "tags", .columns = {{"i", "item.id"}, {"tag", "value"}, {"x", "x.y"}}}});
  ASSERT_EQ(Problem(WriteItems(store, {R"({"tags":["p","q"],"x":{"y":1}})", R"({"tags":null})", "{}"})), " ");
  EXPECT_THAT(Query(dir / "out.db", "SELECT id FROM a"), ElementsAre("i0", "i1", "i2"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT * FROM b"), ElementsAre("p", "q"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT i, tag, x FROM c"), ElementsAre("i0|p|1", "i0|q|1"));
}

TEST(SqliteTest, ARepeatOfAGenerationWritesNothing) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{}});
  ASSERT_TRUE(WriteItems(store, {R"({"a":1})"}).ok());
  ASSERT_TRUE(WriteItems(store, {R"({"a":2})"}).ok());
  EXPECT_THAT(Query(dir / "out.db", "SELECT a FROM t"), ElementsAre("1"));
  ASSERT_TRUE(WriteItems(store, {R"({"a":2})"}, {.generation = "r-2/0"}).ok());
  ASSERT_TRUE(WriteItems(store, {R"({"a":3})"}).ok());
  EXPECT_THAT(Query(dir / "out.db", "SELECT a FROM t"), ElementsAre("1", "2"));
}

TEST(SqliteTest, UpsertTouchesOnlyRowsThatDiffer) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id"}}});
  ASSERT_TRUE(WriteItems(store, {R"({"id":1,"a":"x"})", R"({"id":2,"a":null})"}).ok());
  Query(dir / "out.db",
        "CREATE TABLE touched (id); CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO touched VALUES (new.id); END;"
        "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO touched VALUES (new.id); END;");
  ASSERT_TRUE(WriteItems(store, {R"({"id":1,"a":"x"})", R"({"id":2,"a":null})"}, {.generation = "r-2/0"}).ok());
  EXPECT_THAT(Query(dir / "out.db", "SELECT * FROM touched"), IsEmpty());
  EXPECT_THAT(Query(dir / "out.db", "SELECT generation FROM millrace_runs ORDER BY number"),
              ElementsAre("r-1/0", "r-2/0"));
  ASSERT_TRUE(WriteItems(store, {R"({"id":2,"a":"y"})", R"({"id":3,"a":"z"})"}, {.generation = "r-3/0"}).ok());
  EXPECT_THAT(Query(dir / "out.db", "SELECT * FROM touched"), ElementsAre("2", "3"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT * FROM t"), ElementsAre("1|x", "2|y", "3|z"));
}

TEST(SqliteTest, AppendAddsNothingWhereNothingDiffers) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{}});
  ASSERT_TRUE(WriteItems(store, {R"({"a":1})", R"({"a":2})"}).ok());
  ASSERT_TRUE(WriteItems(store, {R"({"a":1})", R"({"a":2})"}, {.generation = "r-2/0"}).ok());
  EXPECT_THAT(Query(dir / "out.db", "SELECT a FROM t"), ElementsAre("1", "2"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT rows FROM millrace_runs"), ElementsAre("2", "2"));
  ASSERT_TRUE(WriteItems(store, {R"({"a":1})", R"({"a":3})"}, {.generation = "r-3/0"}).ok());
  EXPECT_THAT(Query(dir / "out.db", "SELECT a FROM t"), ElementsAre("1", "2", "1", "3"));
}

TEST(SqliteTest, ReplaceRemovesOnlyWhatTheStageWroteBefore) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id", "k"}, .mode = v1::SqliteTable::MODE_REPLACE}});
  ASSERT_EQ(Problem(WriteItems(
                store, {R"({"id":1,"k":"a","v":1})", R"({"id":2,"k":"a","v":1})", R"({"id":3,"k":"a","v":1})"})),
            " ");
  Query(dir / "out.db", "INSERT INTO t VALUES (9, 'mine', 0)");
  // Another stage writes row 2 too.
  ASSERT_EQ(Problem(WriteItems(store, {R"({"id":2,"k":"a","v":1})"}, {.stage = "other"})), " ");
  ASSERT_EQ(
      Problem(WriteItems(store, {R"({"id":1,"k":"a","v":5})", R"({"id":4,"k":"a","v":1})"}, {.generation = "r-2/0"})),
      " ");
  EXPECT_THAT(Query(dir / "out.db", "SELECT * FROM t"), ElementsAre("1|a|5", "2|a|1", "4|a|1", "9|mine|0"));
  ASSERT_EQ(Problem(WriteItems(store, {}, {.generation = "r-3/0"})), " ");
  EXPECT_THAT(Query(dir / "out.db", "SELECT * FROM t"), ElementsAre("2|a|1", "9|mine|0"));
}

TEST(SqliteTest, TwoStoresReadBackTheSame) {
  const TempDir dir;
  const auto write = [&](const std::string& name, size_t page) {
    MadeItems items(
        1000, [](int64_t i) { return fmt::format(R"({{"id":"k{}","n":{}}})", i * 7919 % 1000, i / 3.0); }, page);
    return WriteAll(Sqlite(dir / name, {{.key = {"id"}}}), items).ok();
  };
  ASSERT_TRUE(write("a.db", 7) && write("b.db", 512));
  EXPECT_EQ(Query(dir / "a.db", "SELECT * FROM t ORDER BY id"), Query(dir / "b.db", "SELECT * FROM t ORDER BY id"));
  EXPECT_EQ(Query(dir / "a.db", "SELECT sql FROM sqlite_schema"), Query(dir / "b.db", "SELECT sql FROM sqlite_schema"));
}

TEST(SqliteTest, WritesTextByBindingOnly) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{}});
  ASSERT_EQ(Problem(WriteItems(store, {R"({"a\"b; DROP":"'); DROP TABLE t; --","n":"x\u0000y"})"})), " ");
  EXPECT_THAT(Query(dir / "out.db", R"(SELECT "a""b; DROP", length(CAST(n AS BLOB)) FROM t)"),
              ElementsAre("'); DROP TABLE t; --|3"));
}

// A column that the first run made INTEGER turned "007" into 7 in the second.
TEST(SqliteTest, NeverChangesAValueForTheTypeOfAnExistingColumn) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id"}}});
  ASSERT_TRUE(WriteItems(store, {R"({"id":"a","n":1,"t":"x","r":0.5,"none":null})"}).ok());
  const auto second = [&](const std::string& item) {
    return Problem(WriteItems(store, {item}, {.generation = "r-2/0"}));
  };
  for (const char* text : {"007", "1e5", " 7 ", "+1", ".5", "1.", "9223372036854775808"}) {
    EXPECT_THAT(second(fmt::format(R"({{"id":"b","n":"{}"}})", text)),
                AllOf(HasSubstr("SINK table t: column n has type INTEGER, so SQLite would change"),
                      HasSubstr(fmt::format("\"{}\" of item i0 into a number", text))));
    EXPECT_THAT(second(fmt::format(R"({{"id":"b","r":"{}"}})", text)), HasSubstr("column r has type REAL")) << text;
  }
  EXPECT_THAT(second(R"({"id":"b","t":7})"), HasSubstr("change 7 of item i0 into a text"));
  EXPECT_THAT(second(R"({"id":7})"), HasSubstr("column id has type TEXT"));
  EXPECT_THAT(second(R"({"id":"b","r":9007199254740993})"), HasSubstr("into another number"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT count(*) FROM t"), ElementsAre("1"))
      << "a part of a generation was written";
  // Values that are stored as they are, are taken: other texts, a null, the same number as another type, and any value
  // without a type.
  ASSERT_EQ(Problem(WriteItems(store,
                               {R"({"id":"b","n":"0x7","t":"007","r":2,"none":"007"})",
                                R"({"id":"c","n":2.5,"t":"","r":-1e300,"none":7})",
                                R"({"id":"d","n":"1e","t":null,"r":"n/a","none":"7"})"},
                               {.generation = "r-3/0"})),
            " ");
  EXPECT_THAT(
      Query(dir / "out.db", "SELECT id, n, typeof(n), t, r, none, typeof(none) FROM t WHERE id > 'a' ORDER BY id"),
      ElementsAre("b|0x7|text|007|2.0|007|text", "c|2.5|real||-1.0e+300|7|integer", "d|1e|text|NULL|n/a|7|text"));
}

TEST(SqliteTest, RefusesATableWhoseCollationMakesOneKeyOfTwo) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id"}}});
  Query(dir / "out.db", "CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY, x)");
  EXPECT_THAT(Problem(WriteItems(store, {R"({"id":"Ab","x":"first"})", R"({"id":"aB","x":"second"})"})),
              HasSubstr("SINK table t: its key column id is compared by the collation NOCASE"));
  EXPECT_THAT(Query(dir / "out.db", "SELECT count(*) FROM t"), ElementsAre("0"));
  Query(dir / "out.db", "DROP TABLE t; CREATE TABLE t(id TEXT PRIMARY KEY, x TEXT COLLATE NOCASE)");
  EXPECT_EQ(Problem(WriteItems(store, {R"({"id":"Ab","x":"first"})", R"({"id":"aB","x":"second"})"})), " ");
  EXPECT_THAT(Query(dir / "out.db", "SELECT x FROM t ORDER BY x DESC"), ElementsAre("second", "first"));
}

// SQLite keeps the name of a collation as it was typed.
TEST(SqliteTest, TakesTheCollationBinaryInAnyCase) {
  for (const std::string collation : {"binary", "Binary", "BINARY"}) {
    const TempDir dir;
    const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id"}}});
    Query(dir / "out.db", "CREATE TABLE t(id TEXT COLLATE " + collation + " PRIMARY KEY, x)");
    EXPECT_EQ(Problem(WriteItems(store, {R"({"id":"Ab","x":"first"})", R"({"id":"aB","x":"second"})"})), " ");
    EXPECT_THAT(Query(dir / "out.db", "SELECT id, x FROM t ORDER BY x"), ElementsAre("Ab|first", "aB|second"));
  }
}

TEST(SqliteTest, AColumnOfTypeAnyInAStrictTableKeepsEveryValue) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id"}}});
  Query(dir / "out.db", "CREATE TABLE t(id TEXT PRIMARY KEY, a ANY) STRICT");
  EXPECT_EQ(Problem(WriteItems(store, {R"({"id":"a","a":"007"})", R"({"id":"b","a":7})"})), " ");
  EXPECT_THAT(Query(dir / "out.db", "SELECT a, typeof(a) FROM t ORDER BY id"), ElementsAre("007|text", "7|integer"));
}

TEST(SqliteTest, RefusesRowsWithoutOneKeyEach) {
  const TempDir dir;
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"k"}}});
  EXPECT_THAT(Problem(WriteItems(store, {R"({"k":1})", R"({"k":null})"})),
              "SINK table t: item i1 has no value for the key column k");
  EXPECT_THAT(Problem(WriteItems(store, {R"({"a":1})"})), HasSubstr("item i0 has no value for the key column k"));
  EXPECT_THAT(Problem(WriteItems(store, {R"({"k":"x"})", R"({"k":"y"})", R"({"k":"x"})"})),
              R"(SINK table t: duplicate key k = "x" in item i2)");
  EXPECT_THAT(Query(dir / "out.db", "SELECT count(*) FROM sqlite_schema"), ElementsAre("0"));
}

TEST(SqliteDatabaseTest, AllFilesAreInTheDirectoryThatWasOpenedWhateverHasItsNameNow) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "a");
  std::filesystem::create_directories(dir / "elsewhere");
  const OutputOpener open = *FileRoots({}, {"/"}).OpenerToWrite((dir / "a/out.db").string());
  auto place = open();
  auto other_place = open();
  ASSERT_TRUE(place.ok() && other_place.ok());
  std::filesystem::rename(dir / "a", dir / "b");
  std::filesystem::create_symlink(dir / "elsewhere", dir / "a");
  auto first = SqliteDatabase::Open(*std::move(place), "out.db");
  auto second = SqliteDatabase::Open(*std::move(other_place), "out.db");
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  ASSERT_TRUE((*first)->Run("CREATE TABLE t (a)").ok());
  // The second one works on when the first one, whose paths it shares, is closed.
  first->reset();
  ASSERT_TRUE((*second)->Run("INSERT INTO t VALUES (1)").ok());
  EXPECT_TRUE(std::filesystem::exists(dir / "b/out.db-wal"));
  second->reset();
  EXPECT_EQ(Query(dir / "b/out.db", "SELECT * FROM t"), std::vector<std::string>{"1"});
  EXPECT_FALSE(std::filesystem::exists(dir / "b/out.db-shm"));
  EXPECT_TRUE(std::filesystem::is_empty(dir / "elsewhere"));
}

TEST(SqliteTest, SaysWhatIsWrongWithTheDatabase) {
  const TempDir dir;
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "no/out.db", {{}}), {"{}"})),
              AllOf(HasSubstr("FILE_ERROR"), HasSubstr("directory")));
  std::ofstream(dir / "text.db") << std::string(2000, 'x');
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "text.db", {{}}), {"{}"})), HasSubstr("FILE_ERROR"));
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "text.db", {{}}), {"{}"})), HasSubstr("not a SQLite database"));
  Query(dir / "out.db", "CREATE TABLE t (id, other); CREATE VIEW v AS SELECT 1 AS id");
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "out.db", {{}}), {R"({"id":1,"title":"x"})"})),
              HasSubstr("SINK table t: it has no column title, only id, other"));
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "out.db", {{.key = {"id"}}}), {R"({"id":1})"})),
              HasSubstr("expected a unique key of \"id\""));
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "out.db", {{.table = "v"}}), {R"({"id":1})"})),
              HasSubstr("SINK table v"));
  EXPECT_THAT(Problem(WriteItems(Sqlite(dir / "out.db", {{.each = "m"}}), {R"({"m":1})"})),
              HasSubstr("m of item i0 is not a list"));
}

TEST(SqliteTest, AKilledWriterLeavesAWholeGenerationOrNone) {
  const TempDir dir;
  constexpr int kItems = 3000;
  const v1::Store store = Sqlite(dir / "out.db", {{.table = "a", .key = {"id"}}, {.table = "b", .each = "m"}});
  Random random(5);
  int finished = 0;
  for (int generation = 1; generation <= 30; ++generation) {
    const Writing how{.generation = fmt::format("r-{}/0", generation)};
    const auto write = [&] {
      MadeItems items(kItems, [&](int64_t i) {
        return fmt::format(R"({{"id":{},"g":{},"m":[{{"g":{}}}]}})", i, generation, generation);
      });
      return WriteAll(store, items, how);
    };
    const pid_t child = ::fork();
    if (child == 0) ::_exit(write().ok() ? 0 : 1);
    EndsWithin(child, std::chrono::microseconds(random.Below(120'000)));  // a kill at any moment
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto counts = [&] {
      return Query(dir / "out.db",
                   "SELECT (SELECT count(*) FROM millrace_runs), (SELECT count(*) FROM a WHERE g = (SELECT max(g) FROM "
                   "a)), (SELECT count(*) FROM b), (SELECT max(g) FROM a)");
    };
    const bool is_there = Query(dir / "out.db", fmt::format("SELECT 1 FROM millrace_runs WHERE generation = '{}'",
                                                            how.generation)) == std::vector<std::string>{"1"};
    finished += is_there;
    if (is_there) {
      ASSERT_THAT(counts(),
                  ElementsAre(fmt::format("{}|{}|{}|{}", generation, kItems, kItems * generation, generation)));
    } else if (generation > 1) {
      ASSERT_THAT(counts(), ElementsAre(fmt::format("{}|{}|{}|{}", generation - 1, kItems, kItems * (generation - 1),
                                                    generation - 1)));
    }
    ASSERT_EQ(Problem(write()), " ");
    ASSERT_THAT(counts(), ElementsAre(fmt::format("{}|{}|{}|{}", generation, kItems, kItems * generation, generation)));
  }
  RecordProperty("finished", finished);
}

int64_t PeakRssKib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(SqliteTest, WritesManyRowsWithFlatMemory) {
  const TempDir dir;
  const int64_t rows = std::getenv("MILLRACE_LONG") ? 1'000'000 : 100'000;
  const std::string text(200, 'x');
  const v1::Store store = Sqlite(dir / "out.db", {{.key = {"id"}}});
  const auto write = [&](int64_t count, const std::string& generation) {
    MadeItems items(
        count, [&](int64_t i) { return fmt::format(R"({{"id":"item-{}","text":"{}"}})", i * 7919 % count, text); });
    return WriteAll(store, items, {.generation = generation});
  };
  ASSERT_TRUE(write(rows / 10, "r-1/0").ok());
  const int64_t before = PeakRssKib();
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(write(rows, "r-2/0").ok());
  std::printf(
      "SQLite: %.0f rows/s, peak RSS %lld MiB after %lld MiB\n",
      static_cast<double>(rows) / std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(),
      static_cast<long long>(PeakRssKib() >> 10), static_cast<long long>(before >> 10));
  EXPECT_THAT(Query(dir / "out.db", "SELECT count(*) FROM t"), ElementsAre(std::to_string(rows)));
#ifndef MILLRACE_SANITIZED  // a sanitizer keeps what was freed for a while
  EXPECT_LT(PeakRssKib() - before, 64 << 10);
#endif
}

}  // namespace
}  // namespace millrace::store
