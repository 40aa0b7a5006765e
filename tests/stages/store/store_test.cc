#include "server/stages/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/stages/store/writing.h"

namespace millrace::store {
namespace {

using testing::HasSubstr;

std::string Refusal(const v1::Store& store) { return std::string(MessageOf(MakeSink(store).status())); }

v1::SqliteTable* Table(v1::Store& store, std::string name) {
  store.mutable_sqlite()->set_path("out.db");
  v1::SqliteTable* table = store.mutable_sqlite()->add_tables();
  table->set_table(std::move(name));
  return table;
}

TEST(StoreTest, RefusesDefinitionsThatCannotWork) {
  EXPECT_THAT(Refusal({}), HasSubstr("expected one of sqlite, jsonl, csv"));
  v1::Store twice;
  Table(twice, "a");
  Table(twice, "A");
  EXPECT_THAT(Refusal(twice), HasSubstr("store.sqlite.tables[1].table: duplicate table"));
  v1::Store taken;
  Table(taken, "millrace_runs");
  EXPECT_THAT(Refusal(taken), HasSubstr("are reserved"));
  v1::Store keyless;
  Table(keyless, "a")->set_mode(v1::SqliteTable::MODE_REPLACE);
  EXPECT_THAT(Refusal(keyless), HasSubstr("need a key"));
  v1::Store lost;
  v1::SqliteTable* table = Table(lost, "a");
  table->add_key("id");
  (*table->mutable_columns())["title"] = "item.title";
  EXPECT_THAT(Refusal(lost), HasSubstr("the key column id is missing"));
}

}  // namespace
}  // namespace millrace::store
