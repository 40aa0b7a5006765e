// Counts of a stage as clients see them.
#include "server/engine/stage_counts.h"

#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "server/storage/taken_over.h"
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

// An attempt of a run, in flight or taken over by another run.
storage::v1::PendingRecord AttemptOf(const std::string& run, const std::string& id) {
  storage::v1::PendingRecord record;
  record.set_run(run);
  record.mutable_attempt()->set_id(id);
  record.mutable_attempt()->set_stage("told");
  record.mutable_attempt()->add_item_ids(id);
  record.mutable_attempt()->set_outcome(v1::ATTEMPT_OUTCOME_STARTED);
  return record;
}

// Creates a run whose calls take an hour and which has these attempts pending.
std::string CreateWithPending(World& world, const std::vector<std::string>& ids) {
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(3)).name();
  world.Pass(10s);
  WriteBatch batch;
  for (const std::string& id : ids) PutPending(batch, Digest::Of(id), AttemptOf(name, id));
  EXPECT_TRUE(world.Do(world.store->Commit(std::move(batch))).ok());
  return name;
}

// Another run settles it.
void TakeOver(World& world, storage::v1::PendingRecord record, const Digest& call_key) {
  record.mutable_totals()->set_attempts(1);
  record.mutable_totals()->set_maybe_billed(1);
  record.mutable_totals()->set_output_tokens(50);
  WriteBatch batch;
  DeletePending(batch, call_key);
  PutTakenOver(batch, record);
  ASSERT_TRUE(world.Do(world.store->Commit(std::move(batch))).ok());
}

void ExpectCounts(World& world, const std::string& run, int64_t attempts, int64_t maybe_billed, int64_t tokens) {
  const v1::Run got = world.Get(run);
  const auto listed = world.Do(world.engine->runs().ListRuns({}, {}));
  ASSERT_TRUE(listed.ok() && listed->runs_size() == 1);
  for (const v1::Run& each : {got, listed->runs(0)}) {
    EXPECT_EQ(world.Stage(each, "told").attempts(), attempts);
    EXPECT_EQ(world.Stage(each, "told").maybe_billed(), maybe_billed);
    EXPECT_EQ(world.Stage(each, "told").output_tokens(), tokens);
  }
}

TEST(StageCountsTest, AnEndedRunCountsAttemptsThatAnotherRunSettlesLater) {
  World world;
  const std::string name = world.Wait(world.Create(Linear(), MakeItems(3)).name()).name();
  world.Pass(1s);
  ExpectCounts(world, name, 3, 0, 0);
  TakeOver(world, AttemptOf(name, "1"), Digest::Of("1"));
  ExpectCounts(world, name, 4, 1, 50);
  world.Crash();
  ExpectCounts(world, name, 4, 1, 50);
  ASSERT_TRUE(world.Do(world.engine->runs().DeleteRun({}, Named<v1::DeleteRunRequest>(name))).ok());
  for (const auto& [key, value] : world.disk.data()) EXPECT_EQ(key.find(name), std::string::npos);
}

TEST(StageCountsTest, AnAttemptThatARunLeftAtItsEndIsCountedOnceAlsoIfAnotherRunSettlesIt) {
  World world;
  const std::string name = CreateWithPending(world, {"1", "2"});
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  world.Pass(2h);
  const int64_t settled = 3;  // this call layer ends its calls, and settles them
  ExpectCounts(world, name, settled + 2, 0, 0);
  TakeOver(world, AttemptOf(name, "1"), Digest::Of("1"));
  ExpectCounts(world, name, settled + 2, 1, 50);
  world.Crash();
  ExpectCounts(world, name, settled + 2, 1, 50);
  // Another life of the run takes over what is pending; what another run has settled stays counted.
  world.outside.latency = 10ms;
  ASSERT_TRUE(world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(name))).ok());
  world.Wait(name);
  world.Pass(1s);
  ExpectCounts(world, name, settled + 1, 1, 50);
  // The rest is settled now as well.
  TakeOver(world, AttemptOf(name, "2"), Digest::Of("2"));
  ExpectCounts(world, name, settled + 2, 2, 100);
}

TEST(StageCountsTest, APausedRunCountsAnAttemptOnceThatAnotherRunSettles) {
  World world;
  const std::string name = CreateWithPending(world, {"1"});
  ASSERT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).ok());
  world.Pass(2h);
  TakeOver(world, AttemptOf(name, "1"), Digest::Of("1"));
  EXPECT_EQ(world.Stage(world.Get(name), "told").attempts(), 4);
  EXPECT_EQ(world.Stage(world.Get(name), "told").output_tokens(), 50);
  world.outside.latency = 10ms;
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  world.Wait(name);
  world.Pass(1s);
  ExpectCounts(world, name, 4, 1, 50);
}

}  // namespace
}  // namespace millrace
