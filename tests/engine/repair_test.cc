// Runs whose targets answer nothing before a human repairs them.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

v1::Pipeline WithModel() {
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").mutable_synthesize()->set_model("writer");
  return pipeline;
}

void ExpectPausedForRepair(const v1::Run& run) {
  EXPECT_EQ(run.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(run.waiting_on().reason(), v1::WaitingOn::REASON_REPAIR);
  EXPECT_EQ(run.waiting_on().object(), "cloud/m");
  EXPECT_EQ(run.waiting_on().error(), v1::ERROR_REASON_PROVIDER_CREDENTIALS);
  EXPECT_THAT(run.waiting_on().remedy(),
              AllOf(HasSubstr("cloud/m refuses all calls: HTTP 401; correct the key"), HasSubstr("resume the run")));
}

TEST(RepairTest, ARunPausesUntilItsTargetIsRepaired) {
  World world;
  world.outside.blocked = "cloud/m";
  const std::string name = world.Create(WithModel(), MakeItems(5)).name();
  world.Pass(10s);
  ExpectPausedForRepair(world.Get(name));
  ExpectPausedForRepair(world.Events(name).back().state_changed().run());
  ExpectPausedForRepair(world.Do(world.engine->runs().ListRuns({}, {}))->runs(0));
  EXPECT_EQ(world.Stage(world.Get(name), "told").failed(), 0);
  world.Crash();
  world.Pass(3600s);
  ExpectPausedForRepair(world.Get(name));
  EXPECT_THAT(world.outside.reconsidered, IsEmpty());
  world.outside.blocked.clear();
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_THAT(world.outside.reconsidered, Contains("writer"));
  const v1::Run run = world.Wait(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_FALSE(run.has_waiting_on());
  EXPECT_THAT(world.outside.starts, SizeIs(5)) << "each question is asked once";
}

TEST(RepairTest, AResumeWithoutARepairPausesTheRunAgain) {
  World world;
  world.outside.blocked = "cloud/m";
  const std::string name = world.Create(WithModel(), MakeItems(5)).name();
  for (int i = 0; i < 3; ++i) {
    world.Pass(10s);
    ExpectPausedForRepair(world.Get(name));
    ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  }
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_CANCELLED);
}

TEST(RepairTest, EachRunOfTheTargetPauses) {
  World world;
  world.outside.blocked = "cloud/m";
  const std::string one = world.Create(WithModel(), MakeItems(5)).name();
  const std::string other = world.Create(WithModel(), MakeItems(5, "b")).name();
  world.Pass(10s);
  ExpectPausedForRepair(world.Get(one));
  ExpectPausedForRepair(world.Get(other));
}

TEST(RepairTest, ResultsFromBeforeThePauseAreKept) {
  World world;
  v1::Pipeline pipeline = WithModel();
  StageOf(pipeline, "told").set_concurrency(2);
  const std::string name = world.Create(pipeline, MakeItems(20)).name();
  world.Pass(55ms);
  world.outside.blocked = "cloud/m";
  world.Pass(10s);
  ExpectPausedForRepair(world.Get(name));
  const int64_t done = world.Stage(world.Get(name), "told").ok();
  EXPECT_GT(done, 0);
  EXPECT_LT(done, 20);
  world.outside.blocked.clear();
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(20));
}

}  // namespace
}  // namespace millrace
