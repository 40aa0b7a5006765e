// Runs that give up if targets keep them from any progress.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

v1::Run CreateGivingUp(World& world, std::chrono::seconds after) {
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").mutable_synthesize()->set_model("writer");
  v1::CreateRunRequest request;
  *request.mutable_definition() = pipeline;
  request.mutable_give_up_after()->set_seconds(after.count());
  v1::InlineItems& items = (*request.mutable_items())["in"];
  for (const std::string& json : MakeItems(5)) items.add_items()->set_json(json);
  return world.Create(request);
}

TEST(GiveUpTest, ARunPausesIfTargetsKeepItFromProgress) {
  World world;
  world.outside.latency = 2h;
  world.outside.failing = "cloud/m";
  const std::string name = CreateGivingUp(world, 600s).name();
  world.Pass(590s);
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  world.Pass(20s);
  // Calls in flight of this call layer end with their answers.
  world.Pass(3h);
  const v1::Run run = world.Get(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(run.waiting_on().reason(), v1::WaitingOn::REASON_TARGET);
  EXPECT_EQ(run.waiting_on().object(), "cloud/m");
  EXPECT_EQ(run.waiting_on().error(), v1::ERROR_REASON_TARGET_FAILED);
  EXPECT_THAT(run.waiting_on().remedy(), AllOf(HasSubstr("cloud/m has failed for 60"), HasSubstr("HTTP 401")));
  world.outside.failing.clear();
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_THAT(world.outside.reconsidered, Contains("writer"));
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(GiveUpTest, ATargetThatRecoversInTimeStartsTheTimeAgain) {
  World world;
  world.outside.latency = 3h;
  world.outside.failing = "cloud/m";
  const std::string name = CreateGivingUp(world, 600s).name();
  for (int i = 0; i < 5; ++i) {
    world.Pass(500s);
    world.outside.failing.clear();
    world.Pass(10s);
    world.outside.failing = "cloud/m";
  }
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
}

TEST(GiveUpTest, TheTimeMustBeSensible) {
  World world;
  v1::CreateRunRequest request;
  *request.mutable_definition() = Linear();
  for (const int64_t seconds : {int64_t{0}, int64_t{-5}, int64_t{86'401}}) {
    request.mutable_give_up_after()->set_seconds(seconds);
    const auto refused = world.Do(world.engine->runs().CreateRun({}, request));
    EXPECT_EQ(ReasonOf(refused.status()), Reason::kInvalidField) << seconds;
  }
}

}  // namespace
}  // namespace millrace
