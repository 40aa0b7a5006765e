// Keys are in several column families, and nobody who uses the store can tell.
#include "server/storage/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/storage/keys.h"
#include "tests/storage/rocks_life.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

// Keys in the order of their bytes, neighbours in different families.
std::vector<std::string> SortedKeys() {
  std::vector<std::string> keys;
  for (const Table table : {Table::kMeta, Table::kRunAnswer, Table::kItem, Table::kSettled, Table::kPipeline,
                            Table::kPending, Table::kAnswer}) {
    for (const char* text : {"a", "b"}) keys.push_back(KeyBuilder(table).Text(text));
  }
  return keys;
}

std::vector<std::string> ScanAll(RocksLife& life, Store::Direction direction) {
  std::vector<std::string> keys;
  std::string begin;
  std::string end;
  do {
    const StatusOr<ScanPage> page = RunTask(life.loop(), life.store().Scan(begin, end, 3, 1 << 20, direction));
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) break;
    for (const StoreEntry& entry : page->entries) keys.push_back(entry.key);
    (direction == Store::Direction::kForwards ? begin : end) = page->next;
    if (page->next.empty()) break;
  } while (true);
  return keys;
}

TEST(FamiliesTest, ARangeWithinATableIsInOneFamily) {
  const std::string begin = KeyBuilder(Table::kItem).Text("run");
  EXPECT_THAT(FamiliesOf(begin, PrefixEnd(begin)), ElementsAre(Family::kItems));
  EXPECT_THAT(FamiliesOf(begin, PrefixEnd(KeyBuilder(Table::kItem))), ElementsAre(Family::kItems));
  EXPECT_EQ(FamiliesOf(begin, KeyBuilder(Table::kPipeline).Text("p").str()).size(), kFamilies);
  EXPECT_EQ(FamiliesOf(begin, "").size(), kFamilies);
  EXPECT_EQ(FamiliesOf("", PrefixEnd(begin)).size(), kFamilies);
}

TEST(FamiliesTest, AScanAcrossFamiliesIsInTheOrderOfKeys) {
  TemporaryDirectory directory;
  RocksLife life({.path = directory.path(), .disk_reserve = 0});
  ASSERT_TRUE(life.status().ok()) << life.status();
  std::vector<std::string> keys = SortedKeys();
  WriteBatch batch;
  for (const std::string& key : keys) batch.Put(key, "value");
  ASSERT_TRUE(RunTask(life.loop(), life.store().Commit(std::move(batch))).ok());
  keys.insert(keys.begin() + 1, KeyBuilder(Table::kMeta).Text("format"));  // the store's own: between `a` and `b`
  std::sort(keys.begin(), keys.end());
  EXPECT_THAT(ScanAll(life, Store::Direction::kForwards), ElementsAreArray(keys));
  EXPECT_THAT(ScanAll(life, Store::Direction::kBackwards), ElementsAreArray(keys.rbegin(), keys.rend()));
}

TEST(FamiliesTest, ARangeIsDeletedInEveryFamily) {
  TemporaryDirectory directory;
  RocksLife life({.path = directory.path(), .disk_reserve = 0});
  ASSERT_TRUE(life.status().ok()) << life.status();
  const std::vector<std::string> keys = SortedKeys();
  WriteBatch batch;
  for (const std::string& key : keys) batch.Put(key, "value");
  batch.DeleteRange(keys[3], keys[12]);
  ASSERT_TRUE(RunTask(life.loop(), life.store().Commit(std::move(batch))).ok());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(life.Get(keys[i]).value().has_value(), i < 3 || i >= 12) << i;
  }
}

}  // namespace
}  // namespace millrace
