#include "server/storage/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "server/storage/value_codec.h"
#include "tests/storage/run_task.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""s;
using testing::Optional;

constexpr Durability kInterval{.mode = Durability::Mode::kInterval, .interval = 50ms};
constexpr Durability kProcess{.mode = Durability::Mode::kProcess};

// Acknowledged numbers, in order. `Put(n)` sets key n.
using Acked = std::vector<int>;

Task<void> Put(Store& store, int number, CommitMode mode, Acked& acked, std::vector<Reason>& errors) {
  WriteBatch batch;
  batch.Put(std::to_string(number), "x");
  const Status status = co_await store.Commit(std::move(batch), mode);
  if (status.ok()) {
    acked.push_back(number);
  } else {
    errors.push_back(ReasonOf(status));
  }
}

// Simulated process: a loop and a store over a disk that outlives both.
struct Life {
  explicit Life(MemoryDisk& disk, MemoryStoreOptions options = {}) : store(loop, disk, options) {}
  ~Life() { loop.Abandon(); }

  void Spawn(int number, CommitMode mode = CommitMode::kDurable) {
    loop.Spawn(Put(store, number, mode, acked, errors));
  }
  void RunFor(Duration duration) {
    const TimePoint end = clock.Now() + duration;
    loop.RunUntil([] { return false; }, end);
    clock.AdvanceTo(end);
  }

  SimulatedClock clock;
  Loop loop{clock};
  MemoryStore store;
  Acked acked;
  std::vector<Reason> errors;
};

bool Has(const MemoryDisk& disk, int number) { return disk.data().contains(std::to_string(number)); }

int Lost(const MemoryDisk& disk, const Acked& acked) {
  int lost = 0;
  for (const int number : acked) lost += Has(disk, number) ? 0 : 1;
  return lost;
}

TEST(MemoryStoreTest, AKilledProcessLosesNothingThatWasAcknowledged) {
  for (const Durability& durability : {Durability{}, kInterval, kProcess}) {
    for (Duration killed_after = 0us; killed_after < 5ms; killed_after += 50us) {
      MemoryDisk disk;
      Acked acked;
      {
        Life life(disk, {.durability = durability});
        for (int i = 0; i < 20; ++i) {
          life.Spawn(i);
          life.RunFor(150us);
          if (life.clock.Now() > TimePoint(killed_after)) break;
        }
        acked = life.acked;
      }
      ASSERT_EQ(Lost(disk, acked), 0);
    }
  }
}

TEST(MemoryStoreTest, APowerLossUnderSyncLosesNothingThatWasAcknowledged) {
  Random random(1);
  int unsynced = 0;
  for (int seed = 0; seed < 500; ++seed) {
    MemoryDisk disk;
    Acked acked;
    {
      Life life(disk);
      for (int i = 0; i < 20; ++i) {
        life.Spawn(i);
        life.RunFor(Duration(static_cast<int64_t>(random.Below(1'000'000))));
      }
      acked = life.acked;
    }
    unsynced += static_cast<int>(disk.unsynced());
    disk.LoseUnsynced(random);
    ASSERT_EQ(Lost(disk, acked), 0);
  }
  EXPECT_GT(unsynced, 100);  // otherwise the test tried nothing
}

TEST(MemoryStoreTest, APowerLossUnderIntervalLosesASuffixOfTheLastInterval) {
  Random random(1);
  std::set<int> kept_counts;
  for (int seed = 0; seed < 50; ++seed) {
    MemoryDisk disk;
    {
      Life life(disk, {.durability = kInterval});
      for (int i = 0; i < 200; ++i) {
        life.Spawn(i);
        life.RunFor(1ms);
      }
    }
    disk.LoseUnsynced(random);
    int kept = 0;
    while (Has(disk, kept)) ++kept;
    for (int i = kept; i < 200; ++i) ASSERT_FALSE(Has(disk, i));
    ASSERT_GE(kept, 200 - 50 - 10);
    kept_counts.insert(kept);
  }
  EXPECT_GT(kept_counts.size(), 10u);
}

TEST(MemoryStoreTest, APowerLossUnderProcessMayLoseEverything) {
  Random random(1);
  int least = 200;
  for (int seed = 0; seed < 50; ++seed) {
    MemoryDisk disk;
    {
      Life life(disk, {.durability = kProcess});
      for (int i = 0; i < 200; ++i) life.Spawn(i);
      life.RunFor(10s);
    }
    disk.LoseUnsynced(random);
    int kept = 0;
    while (Has(disk, kept)) ++kept;
    least = std::min(least, kept);
  }
  EXPECT_LT(least, 10);
}

TEST(MemoryStoreTest, APowerLossRestoresDeletedValues) {
  MemoryDisk disk;
  {
    Life life(disk);
    for (int i = 0; i < 9; ++i) life.Spawn(i);
    life.RunFor(1s);
    WriteBatch batch;
    batch.DeleteRange("2", "5");
    batch.Delete("7");
    batch.Put("8", "y");
    EXPECT_TRUE(RunTask(life.loop, life.store.Commit(std::move(batch), CommitMode::kReadable)).ok());
    EXPECT_EQ(disk.data().size(), 5u);
  }
  Random random(1);
  while (disk.unsynced() > 0) disk.LoseUnsynced(random);
  if (disk.data().size() == 9) {
    EXPECT_EQ(disk.data().at("8"), "x");
  } else {
    EXPECT_EQ(disk.data().at("8"), "y");
  }
}

TEST(MemoryStoreTest, ALazyBatchForcesNoSync) {
  MemoryDisk disk;
  Life life(disk);
  life.Spawn(1, CommitMode::kReadable);
  life.RunFor(1s);
  EXPECT_EQ(life.acked, Acked({1}));
  EXPECT_EQ(life.store.Figures().syncs, 0u);
  EXPECT_EQ(disk.unsynced(), 1u);
  life.Spawn(2);
  life.RunFor(1s);
  EXPECT_EQ(life.store.Figures().syncs, 1u);
  EXPECT_EQ(disk.unsynced(), 0u);
}

TEST(MemoryStoreTest, WritesAndSyncsTakeSimulatedTime) {
  MemoryDisk disk;
  Life life(disk, {.write_cost = 1ms, .sync_cost = 10ms});
  life.Spawn(1);
  life.RunFor(10ms);
  EXPECT_TRUE(Has(disk, 1));
  EXPECT_TRUE(life.acked.empty());
  life.RunFor(1ms);
  EXPECT_EQ(life.acked, Acked({1}));
}

TEST(MemoryStoreTest, AfterAFailedSyncTheStoreReopensAndTheUnacknowledgedMayBeRepeated) {
  int stored = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    MemoryDisk disk(seed);
    Life life(disk);
    life.Spawn(1);
    life.RunFor(1s);
    disk.faults.syncs = 1;
    life.Spawn(2);
    life.Spawn(3);
    life.RunFor(1ms);
    life.Spawn(4);  // queued after the group that fails
    life.RunFor(10ms);
    EXPECT_EQ(life.acked, Acked({1}));
    EXPECT_EQ(life.errors, std::vector<Reason>(3, Reason::kStoreUnavailable));
    EXPECT_EQ(life.store.state(), StoreState::kReopening);
    EXPECT_EQ(ReasonOf(RunTask(life.loop, life.store.Get("1")).status()), Reason::kStoreUnavailable);
    EXPECT_TRUE(Has(disk, 1));
    EXPECT_FALSE(Has(disk, 3) && !Has(disk, 2));
    EXPECT_FALSE(Has(disk, 4));
    stored += Has(disk, 2) ? 1 : 0;
    life.RunFor(1s);
    EXPECT_EQ(life.store.state(), StoreState::kOk);
    for (int i = 2; i <= 4; ++i) life.Spawn(i);
    life.RunFor(1s);
    EXPECT_EQ(life.acked, Acked({1, 2, 3, 4}));
  }
  EXPECT_GT(stored, 5);
  EXPECT_LT(stored, 45);
}

TEST(MemoryStoreTest, AFailedSyncOfTheIntervalReopensAndLosesNothing) {
  MemoryDisk disk;
  Life life(disk, {.durability = kInterval});
  disk.faults.syncs = 1;
  life.Spawn(1);
  life.RunFor(60ms);
  EXPECT_EQ(life.store.state(), StoreState::kReopening);
  EXPECT_EQ(life.acked, Acked({1}));
  EXPECT_TRUE(Has(disk, 1));
  life.RunFor(1s);
  EXPECT_EQ(life.store.state(), StoreState::kOk);
  life.Spawn(2);
  life.RunFor(1s);
  EXPECT_EQ(disk.unsynced(), 0u);
}

Task<void> Await(Store& store, StoreState from, std::vector<StoreState>& seen) {
  co_await store.WaitForChange(from);
  seen.push_back(store.state());
}

TEST(MemoryStoreTest, AFullDiskIsDetectedAndTheStoreRecoversByItself) {
  MemoryDisk disk;
  Life life(disk, {.disk_reserve = 100});
  std::vector<StoreState> seen;
  disk.SetRoom(102);
  life.loop.Spawn(Await(life.store, StoreState::kOk, seen));
  life.Spawn(1);
  life.Spawn(2);
  life.RunFor(1s);
  EXPECT_EQ(life.acked, Acked({1, 2}));
  EXPECT_THAT(seen, testing::ElementsAre(StoreState::kDiskLow));
  EXPECT_EQ(life.store.Figures().disk_free_bytes, 98);
  // Below the reserve the store still accepts batches that fit.
  disk.SetRoom(2);
  life.Spawn(3);
  life.RunFor(1s);
  EXPECT_EQ(life.acked, Acked({1, 2, 3}));
  life.Spawn(4);
  life.RunFor(10s);
  EXPECT_EQ(life.store.state(), StoreState::kReopening);
  EXPECT_EQ(life.errors, std::vector<Reason>({Reason::kStoreUnavailable}));
  disk.SetRoom(1000);
  life.RunFor(1s);
  EXPECT_EQ(life.store.state(), StoreState::kOk);
  life.Spawn(4);
  life.RunFor(1s);
  EXPECT_EQ(Lost(disk, {1, 2, 3, 4}), 0);
}

TEST(MemoryStoreTest, FailsTheGivenNumberOfReadsAndCommits) {
  MemoryDisk disk;
  Life life(disk);
  life.Spawn(1);
  life.RunFor(1s);
  disk.faults.reads = 2;
  EXPECT_EQ(ReasonOf(RunTask(life.loop, life.store.Get("1")).status()), Reason::kStoreUnavailable);
  EXPECT_EQ(ReasonOf(RunTask(life.loop, life.store.Scan("1", "2")).status()), Reason::kStoreUnavailable);
  EXPECT_THAT(RunTask(life.loop, life.store.Get("1")).value(), Optional(std::string("x")));
  disk.faults.commits = 1;
  life.Spawn(2);
  life.RunFor(1s);
  EXPECT_EQ(life.errors.size(), 1u);
  EXPECT_FALSE(Has(disk, 2));
}

TEST(MemoryStoreTest, TheCodecDetectsADamagedValue) {
  MemoryDisk disk;
  Life life(disk);
  WriteBatch batch;
  batch.Put("key", EncodeValue("key", "payload"));
  ASSERT_TRUE(RunTask(life.loop, life.store.Commit(std::move(batch))).ok());
  ASSERT_TRUE(disk.FlipBit("key", 12345));
  const auto value = RunTask(life.loop, life.store.Get("key")).value();
  EXPECT_EQ(DecodeValue("key", *value).status().code(), absl::StatusCode::kDataLoss);
}

TEST(MemoryStoreTest, EqualSeedsGiveEqualHistories) {
  const auto story = [] {
    MemoryDisk disk(7);
    Random random(7);
    std::string log;
    for (int life_number = 0; life_number < 5; ++life_number) {
      {
        Life life(disk, {.durability = kInterval});
        for (int i = 0; i < 100; ++i) {
          if (random.Chance(0.05)) disk.faults.syncs = 1;
          life.Spawn(i);
          life.RunFor(Duration(static_cast<int64_t>(random.Below(5'000'000))));
        }
        log += std::to_string(life.acked.size()) + " " + std::to_string(life.errors.size()) + " ";
      }
      disk.LoseUnsynced(random);
      log += std::to_string(disk.data().size()) + "\n";
    }
    return log;
  };
  EXPECT_EQ(story(), story());
}

// Each mutant breaks the promise that its test names.
TEST(MemoryMutantTest, AckBeforeStoreLosesAcknowledgedBatchesInAKill) {
  MemoryDisk disk;
  Acked acked;
  {
    Life life(disk, {.mutant = MemoryMutant::kAckBeforeStore});
    life.Spawn(1);
    life.RunFor(1us);
    acked = life.acked;
  }
  EXPECT_EQ(Lost(disk, acked), 1);
}

TEST(MemoryMutantTest, AckBeforeSyncLosesAcknowledgedBatchesInAPowerLoss) {
  int lost = 0;
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    MemoryDisk disk;
    Acked acked;
    {
      Life life(disk, {.mutant = MemoryMutant::kAckBeforeSync});
      life.Spawn(1);
      life.RunFor(1ms);
      acked = life.acked;
    }
    disk.LoseUnsynced(random);
    lost += Lost(disk, acked);
  }
  EXPECT_GT(lost, 0);
}

TEST(MemoryMutantTest, SkipCommitDropsEveryNthBatch) {
  MemoryDisk disk;
  Life life(disk, {.mutant = MemoryMutant::kSkipCommit, .mutant_every = 3});
  for (int i = 0; i < 9; ++i) life.Spawn(i);
  life.RunFor(1s);
  EXPECT_EQ(life.acked.size(), 9u);
  EXPECT_EQ(Lost(disk, life.acked), 3);
}

TEST(MemoryMutantTest, ReorderLetsAnEarlierBatchWin) {
  MemoryDisk disk;
  Life life(disk, {.mutant = MemoryMutant::kReorder});
  const auto put = [](Store& store, std::string value) -> Task<void> {
    WriteBatch batch;
    batch.Put("key", std::move(value));
    EXPECT_TRUE((co_await store.Commit(std::move(batch))).ok());
  };
  life.loop.Spawn(put(life.store, "first"));
  life.loop.Spawn(put(life.store, "second"));
  life.RunFor(1s);
  EXPECT_EQ(disk.data().at("key"), "first");
}

}  // namespace
}  // namespace millrace
