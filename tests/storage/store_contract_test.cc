// Tests of Store's contract, run against each implementation.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/storage/memory_store.h"
#include "server/storage/rocks_store.h"
#include "server/storage/value_codec.h"
#include "tests/storage/run_task.h"
#include "tests/storage/temporary_directory.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::Optional;

// A store and its loop.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual Loop& loop() = 0;
  virtual Store& store() = 0;
};

class MemoryUnderTest final : public StoreUnderTest {
 public:
  Loop& loop() override { return loop_; }
  Store& store() override { return store_; }

 private:
  SimulatedClock clock_;
  Loop loop_{clock_};
  MemoryDisk disk_;
  MemoryStore store_{loop_, disk_};
};

class RocksUnderTest final : public StoreUnderTest {
 public:
  Loop& loop() override { return loop_; }
  Store& store() override { return *store_; }

 private:
  SystemClock clock_;
  Loop loop_{clock_};
  const std::unique_ptr<Pool> pool_ = MakeThreadPool(loop_, 2);
  TemporaryDirectory directory_;
  const std::unique_ptr<Store> store_ =
      OpenRocksStore({.path = directory_.path() + "/store", .disk_reserve = 0}, loop_, *pool_).value();
};

using MakeStore = std::unique_ptr<StoreUnderTest> (*)();

class StoreContractTest : public testing::TestWithParam<MakeStore> {
 protected:
  Status Commit(WriteBatch batch, CommitMode mode = CommitMode::kDurable) {
    return RunTask(loop(), store().Commit(std::move(batch), mode));
  }
  Status Put(std::string key, std::string value) {
    WriteBatch batch;
    batch.Put(std::move(key), std::move(value));
    return Commit(std::move(batch));
  }
  std::optional<std::string> Get(std::string key) { return RunTask(loop(), store().Get(std::move(key))).value(); }
  // Returns the keys of a scan, page by page: `a b | c`.
  std::string Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                   Store::Direction direction) {
    std::string keys;
    while (true) {
      const ScanPage page = RunTask(loop(), store().Scan(begin, end, entries_max, bytes_max, direction)).value();
      for (const StoreEntry& entry : page.entries) keys += entry.key + " ";
      if (page.next.empty()) return keys;
      keys += "| ";
      (direction == Store::Direction::kForwards ? begin : end) = page.next;
    }
  }
  Loop& loop() { return under_test_->loop(); }
  Store& store() { return under_test_->store(); }

 private:
  std::unique_ptr<StoreUnderTest> under_test_ = GetParam()();
};

TEST_P(StoreContractTest, ReturnsWhatWasCommitted) {
  EXPECT_EQ(Get("a"), std::nullopt);
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Put("b", "");
  batch.Put("a", "2");
  batch.Put("c", "3");
  batch.Delete("c");
  ASSERT_TRUE(Commit(std::move(batch)).ok());
  EXPECT_THAT(Get("a"), Optional(std::string("2")));
  EXPECT_THAT(Get("b"), Optional(std::string()));
  EXPECT_EQ(Get("c"), std::nullopt);
  EXPECT_THAT(
      RunTask(loop(), store().MultiGet({"b", "none", "a", "a"})).value(),
      ElementsAre(Optional(std::string()), std::nullopt, Optional(std::string("2")), Optional(std::string("2"))));
}

TEST_P(StoreContractTest, KeepsKeysAndValuesOfAnyBytes) {
  const std::string key("\0\xff\n", 3);
  const std::string value(100'000, '\0');
  ASSERT_TRUE(Put(key, value).ok());
  EXPECT_THAT(Get(key), Optional(value));
}

TEST_P(StoreContractTest, DeletesARangeWithoutItsEnd) {
  for (const char* key : {"a", "b", "ba", "c", "d"}) ASSERT_TRUE(Put(key, "x").ok());
  WriteBatch batch;
  batch.Put("bb", "gone at once");
  batch.DeleteRange("b", "c");
  batch.Put("bc", "put behind the range");
  ASSERT_TRUE(Commit(std::move(batch)).ok());
  EXPECT_EQ(Scan("a", "z", 100, 1000, Store::Direction::kForwards), "a bc c d ");
}

TEST_P(StoreContractTest, CommitsALazyBatchToo) {
  WriteBatch batch;
  batch.Put("a", "1");
  ASSERT_TRUE(Commit(std::move(batch), CommitMode::kReadable).ok());
  EXPECT_THAT(Get("a"), Optional(std::string("1")));
}

TEST_P(StoreContractTest, ScansPageByPageInBothDirections) {
  for (const char* key : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(Put(key, "four").ok());
  using enum Store::Direction;
  EXPECT_EQ(Scan("b", "e", 100, 1000, kForwards), "b c d ");
  EXPECT_EQ(Scan("b", "e", 100, 1000, kBackwards), "d c b ");
  EXPECT_EQ(Scan("a", "z", 2, 1000, kForwards), "a b | c d | e ");
  EXPECT_EQ(Scan("a", "z", 2, 1000, kBackwards), "e d | c b | a ");
  EXPECT_EQ(Scan("a", "z", 100, 5, kForwards), "a b | c d | e ");
  EXPECT_EQ(Scan("a", "z", 100, 0, kBackwards), "e | d | c | b | a ");
  EXPECT_EQ(Scan("a", "z", 0, 0, kForwards), "a | b | c | d | e ");
  EXPECT_EQ(Scan("c", "c", 100, 1000, kForwards), "");
  EXPECT_EQ(Scan("d", "b", 100, 1000, kForwards), "");
  EXPECT_EQ(Scan("d", "b", 100, 1000, kBackwards), "");
  EXPECT_EQ(Scan("d", "", 100, 1000, kForwards), "d e ");
  EXPECT_EQ(Scan("d", "", 100, 1000, kBackwards), "e d ");
}

TEST_P(StoreContractTest, CountsTheBytesOfAScanAsTheyAreOnceTheyAreDecoded) {
  for (const char* key : {"Xa", "Xb", "Xc", "Xd"}) {
    const std::string value = EncodeValue(key, std::string(100'000, ' '));
    EXPECT_LT(value.size(), 1000u);
    ASSERT_TRUE(Put(key, value).ok());
  }
  EXPECT_EQ(Scan("Xa", "Y", 10, 200'000, Store::Direction::kForwards), "Xa Xb | Xc Xd ");
  EXPECT_EQ(Scan("Xa", "Y", 10, 1000, Store::Direction::kBackwards), "Xd | Xc | Xb | Xa ");
}

TEST_P(StoreContractTest, EstimatesTheSizeOfARange) {
  WriteBatch batch;
  for (int i = 0; i < 500; ++i) batch.Put(fmt::format("k{}", i), std::string(100, 'x'));
  ASSERT_TRUE(Commit(std::move(batch)).ok());
  const Store::Size size = RunTask(loop(), store().EstimateSize("k", "l")).value();
  EXPECT_NEAR(static_cast<double>(size.entries), 500, 50);
  EXPECT_NEAR(static_cast<double>(size.bytes), 52'000, 10'000);
  EXPECT_EQ(RunTask(loop(), store().EstimateSize("l", "m")).value().entries, 0);
}

Task<void> CommitOne(Store& store, int number, std::vector<int>& order, Loop& loop, size_t all) {
  WriteBatch batch;
  batch.Put("last", std::to_string(number));
  const Status status =
      co_await store.Commit(std::move(batch), number % 3 == 0 ? CommitMode::kReadable : CommitMode::kDurable);
  EXPECT_TRUE(status.ok()) << status;
  order.push_back(number);
  if (order.size() == all) loop.Stop();
}

TEST_P(StoreContractTest, CommitsInTheOrderOfTheCallsAndGroupsWaitingBatches) {
  std::vector<int> order;
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) {
    expected.push_back(i);
    loop().Spawn(CommitOne(store(), i, order, loop(), 100));
  }
  loop().Run();
  EXPECT_EQ(order, expected);
  EXPECT_THAT(Get("last"), Optional(std::string("99")));
  const StoreFigures figures = store().Figures();
  EXPECT_EQ(figures.batches, 100u);
  EXPECT_LT(figures.commits, 50u);
  EXPECT_LE(figures.syncs, figures.commits);
  EXPECT_GT(figures.sync_p50, Duration(0));
  EXPECT_EQ(store().state(), StoreState::kOk);
}

Task<void> ReadOne(Store& store, int number, int& left, Loop& loop) {
  const StatusOr<std::optional<std::string>> value = co_await store.Get(std::to_string(number));
  const auto expected = number % 2 == 0 ? std::optional(std::to_string(number)) : std::nullopt;
  EXPECT_TRUE(value.ok() && *value == expected) << number;
  if (--left == 0) loop.Stop();
}

TEST_P(StoreContractTest, AnswersManyReadersAtOnce) {
  WriteBatch batch;
  for (int i = 0; i < 1000; i += 2) batch.Put(std::to_string(i), std::to_string(i));
  ASSERT_TRUE(Commit(std::move(batch)).ok());
  int left = 1000;
  for (int i = 0; i < 1000; ++i) loop().Spawn(ReadOne(store(), i, left, loop()));
  loop().Run();
  EXPECT_EQ(left, 0);
}

std::unique_ptr<StoreUnderTest> MakeMemory() { return std::make_unique<MemoryUnderTest>(); }

std::unique_ptr<StoreUnderTest> MakeRocks() { return std::make_unique<RocksUnderTest>(); }

INSTANTIATE_TEST_SUITE_P(Memory, StoreContractTest, testing::Values(&MakeMemory));
INSTANTIATE_TEST_SUITE_P(Rocks, StoreContractTest, testing::Values(&MakeRocks));

}  // namespace
}  // namespace millrace
