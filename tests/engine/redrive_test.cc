// Redriven runs: which items are computed again, what is asked again, and what a crash leaves.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST(RedriveTest, ARedriveRecomputesOnlyFailedItemsAndTheirDependents) {
  World world;
  world.outside.fault = [](const std::string& question) {
    return question == "text a3" || question == "text a4" ? MakeError(Reason::kRefusal, "no") : absl::OkStatus();
  };
  const v1::Pipeline pipeline = MakePipeline(
      {"in:fetch", "told:synthesize:in", "made:prepare:told", "families:cluster:made", "out:store:families,made"});
  const v1::Run run = world.Wait(world.Create(pipeline, MakeItems(10)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.Stage(run, "told").failed(), 2);
  world.outside.fault = nullptr;
  const size_t asked = world.outside.starts.size();
  const auto redriven = world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(run.name())));
  ASSERT_TRUE(redriven.ok()) << MessageOf(redriven.status());
  EXPECT_EQ(redriven->items(), 2);
  const v1::Run again = world.Wait(run.name());
  EXPECT_EQ(again.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.outside.starts.size(), asked + 2);
  EXPECT_EQ(world.Stage(again, "told").ok(), 10);
  EXPECT_EQ(world.Stage(again, "told").failed(), 0);
  EXPECT_THAT(world.Items(run.name(), "made"), SizeIs(10));
  EXPECT_THAT(world.outside.sink, SizeIs(2));
  EXPECT_THAT(world.outside.sink.back(), SizeIs(15));
  EXPECT_NE(world.outside.generations[0], world.outside.generations[1]);
  const std::vector<v1::RunEvent> events = world.Events(run.name());
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].number(), static_cast<int64_t>(i) + 1);
  const auto nothing = world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(run.name())));
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing->items(), 0);
  EXPECT_EQ(nothing->run().state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(RedriveTest, ARedriveTakesOnlyTheItemsThatTheRequestNames) {
  World world;
  world.outside.fault = [](const std::string& question) {
    if (question == "text a1") return MakeError(Reason::kRefusal, "no");
    if (question == "text a2") return MakeError(Reason::kSchema, "no");
    return question == "text a3" ? MakeError(Reason::kSchema, "no") : absl::OkStatus();
  };
  const std::string name = world.Wait(world.Create(Linear(), MakeItems(5)).name()).name();
  world.outside.fault = nullptr;
  auto request = Named<v1::RedriveRunRequest>(name);
  request.add_item_ids("nobody");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().RedriveRun({}, request)).status()), Reason::kItemNotFound);
  request.clear_item_ids();
  request.set_stage("nowhere");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().RedriveRun({}, request)).status()), Reason::kStageNotFound);
  request.clear_stage();
  request.set_reason(v1::ERROR_REASON_SCHEMA);
  request.add_item_ids("a3");
  const auto redriven = world.Do(world.engine->runs().RedriveRun({}, request));
  ASSERT_TRUE(redriven.ok());
  EXPECT_EQ(redriven->items(), 1);
  world.Wait(name);
  EXPECT_THAT(world.States(name, "told"), ElementsAre("a0=OK", "a1=FAILED", "a2=FAILED", "a3=OK", "a4=OK"));
}

TEST(RedriveTest, ADegradedItemIsNotMemoizedAndIsRedrivenWithItsDependents) {
  World world;
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "told:synthesize:in", "made:prepare:told", "out:store:made"});
  StageOf(pipeline, "told").mutable_synthesize()->mutable_fallback();
  world.outside.fault = [](const std::string& question) {
    return question == "text a1" ? MakeError(Reason::kRefusal, "no") : absl::OkStatus();
  };
  const std::string name = world.Wait(world.Create(pipeline, MakeItems(3)).name()).name();
  EXPECT_THAT(world.States(name, "told"), ElementsAre("a0=OK", "a1=DEGRADED", "a2=OK"));
  const v1::Run second = world.Wait(world.Create(pipeline, MakeItems(3)).name());
  EXPECT_EQ(world.Stage(second, "told").degraded(), 1);
  EXPECT_EQ(world.Stage(second, "told").fallbacks(), 1);
  EXPECT_EQ(world.Stage(second, "made").fallbacks(), 0) << "its input is degraded";
  EXPECT_EQ(world.Stage(second, "told").reused(), 2);
  world.outside.fault = nullptr;
  auto request = Named<v1::RedriveRunRequest>(name);
  request.set_stage("made");
  auto redriven = world.Do(world.engine->runs().RedriveRun({}, request));
  ASSERT_TRUE(redriven.ok());
  EXPECT_EQ(redriven->items(), 0) << "it is degraded for its input's sake";
  redriven = world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(name)));
  ASSERT_TRUE(redriven.ok());
  EXPECT_EQ(redriven->items(), 1);
  const v1::Run run = world.Wait(name);
  EXPECT_EQ(world.Stage(run, "told").ok(), 3);
  EXPECT_EQ(world.Stage(run, "told").degraded(), 0);
  EXPECT_EQ(world.Stage(run, "made").ok(), 3);
  EXPECT_THAT(world.Items(name, "made")[1].json(), testing::HasSubstr("TEXT A1"));
}

TEST(RedriveTest, ARedriveContinuesAfterACrash) {
  for (int moment = 0; moment < 30; ++moment) {
    SCOPED_TRACE(moment);
    World world;
    world.outside.fault = [](const std::string&) { return MakeError(Reason::kRefusal, "no"); };
    v1::Pipeline pipeline = MakePipeline({"in:fetch", "told:synthesize:in", "made:prepare:told", "out:store:made"});
    StageOf(pipeline, "told").mutable_synthesize()->mutable_fallback();
    const std::string name = world.Wait(world.Create(pipeline, MakeItems(600)).name()).name();
    world.outside.fault = nullptr;
    const auto redrive = [](World& world, std::string name) -> Task<void> {
      v1::RedriveRunRequest request;
      request.set_run(name);
      co_await world.engine->runs().RedriveRun({}, std::move(request));
    };
    world.loop->Spawn(redrive(world, name));
    world.Pass(moment * 700us);
    world.Crash();
    v1::Run run = world.Wait(name);
    if (world.Stage(run, "told").degraded() > 0) {
      ASSERT_EQ(world.Stage(run, "told").degraded(), 600);  // it had not begun
      ASSERT_TRUE(world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(name))).ok());
      run = world.Wait(name);
    }
    EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
    EXPECT_EQ(world.Stage(run, "told").ok(), 600);
    EXPECT_EQ(world.Stage(run, "made").ok(), 600);
    EXPECT_THAT(world.Items(name, "made"), SizeIs(600));
    EXPECT_THAT(world.outside.sink.back(), SizeIs(600));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(RedriveTest, ASinkThatFailsFailsTheRunAndARedriveWritesAgain) {
  World world;
  world.outside.fault = [](const std::string& question) {
    return question == "sink" ? MakeError(Reason::kSink, "read-only") : absl::OkStatus();
  };
  const v1::Run run = world.Wait(world.Create(Linear(), MakeItems(3)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.error().reason(), v1::ERROR_REASON_SINK);
  EXPECT_EQ(run.error().stage(), "out");
  world.outside.fault = nullptr;
  ASSERT_TRUE(world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(run.name()))).ok());
  EXPECT_EQ(world.Wait(run.name()).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink, SizeIs(1));
  EXPECT_THAT(world.outside.starts, SizeIs(3));
}

}  // namespace
}  // namespace millrace
