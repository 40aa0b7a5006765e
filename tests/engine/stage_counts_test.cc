// Counts of a stage as clients see them.
#include "server/engine/stage_counts.h"

#include "server/storage/ledger.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

TEST(StageCountsTest, ARunShowsAttemptsThatAreNotSettled) {
  World world;
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(3)).name();
  world.Pass(10s);
  EXPECT_EQ(world.Stage(world.Get(name), "told").attempts(), 0);
  world.outside.begun["told"] = {.attempts = 47, .maybe_billed = 46};
  EXPECT_EQ(world.Stage(world.Get(name), "told").attempts(), 47);
  EXPECT_EQ(world.Stage(world.Get(name), "told").maybe_billed(), 46);
  world.outside.begun.clear();
  EXPECT_EQ(world.Stage(world.Wait(name), "told").attempts(), 3);
}

TEST(StageCountsTest, AttemptsThatAreNotSettledAreShownWhileTheRunIsPaused) {
  World world;
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(3)).name();
  world.Pass(10s);
  const auto leave = [&](int key, const std::string& item, v1::AttemptOutcome outcome, int64_t attempts) {
    storage::v1::PendingRecord record;
    record.set_run(name);
    record.mutable_attempt()->set_stage("told");
    record.mutable_attempt()->add_item_ids(item);
    record.mutable_attempt()->set_outcome(outcome);
    record.mutable_totals()->set_attempts(attempts);
    record.mutable_totals()->set_maybe_billed(attempts);
    WriteBatch batch;
    PutPending(batch, Digest::Of(std::to_string(key)), record);
    ASSERT_TRUE(world.Do(world.store->Commit(std::move(batch))).ok());
  };
  leave(1, "a0", v1::ATTEMPT_OUTCOME_ANSWERED_BAD, 3);
  leave(2, "a0", v1::ATTEMPT_OUTCOME_STARTED, 3);  // a repair of the same call
  leave(3, "a1", v1::ATTEMPT_OUTCOME_UNKNOWN, 40);
  EXPECT_EQ(world.Stage(world.Get(name), "told").attempts(), 0) << "the call layer knows them while the run works";
  ASSERT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).ok());
  world.Pass(2h);
  const int64_t settled = 3;  // this call layer ends its calls, and settles them
  EXPECT_EQ(world.Stage(world.Get(name), "told").attempts(), settled + 44);
  EXPECT_EQ(world.Stage(world.Get(name), "told").maybe_billed(), 43) << "one is in flight";
  world.Crash();
  EXPECT_EQ(world.Stage(world.Get(name), "told").attempts(), settled + 44);
  EXPECT_EQ(world.Stage(world.Get(name), "told").maybe_billed(), 44) << "it was cut";
}

}  // namespace
}  // namespace millrace
