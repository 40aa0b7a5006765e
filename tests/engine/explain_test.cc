// Requests about runs before and after them: forecasts, explanations, pipelines, eviction.
#include "server/storage/answers.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

v1::Pipeline OfFile() {
  v1::Pipeline pipeline = MakePipeline(
      {"in:fetch", "made:prepare:in", "families:cluster:made", "told:synthesize:families", "out:store:told"});
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  return pipeline;
}

TEST(ExplainTest, ExplainsHowAnItemWasMadeInEachStage) {
  World world;
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "families:cluster:in", "told:synthesize:families"});
  const std::string name = world.Wait(world.Create(pipeline, MakeItems(10)).name()).name();
  v1::ExplainItemRequest request;
  request.set_run(name);
  request.set_item_id("g-1");
  auto explained = world.Do(world.engine->runs().ExplainItem({}, request));
  ASSERT_TRUE(explained.ok()) << MessageOf(explained.status());
  ASSERT_THAT(explained->stages(), SizeIs(2));
  EXPECT_EQ(explained->stages(0).item().stage(), "families");
  EXPECT_THAT(explained->stages(0).input_ids(), ElementsAre("a1", "a6"));
  EXPECT_EQ(explained->stages(1).item().stage(), "told");
  EXPECT_THAT(explained->stages(1).calls(), SizeIs(1));
  const v1::Run second = world.Wait(world.Create(pipeline, MakeItems(10)).name());
  request.set_run(second.name());
  explained = world.Do(world.engine->runs().ExplainItem({}, request));
  ASSERT_TRUE(explained.ok());
  EXPECT_EQ(explained->stages(0).item().origin(), v1::ORIGIN_MEMO);
  EXPECT_EQ(explained->stages(0).computed_by_run(), name);
  EXPECT_EQ(explained->stages(1).computed_by_run(), name);
  request.set_item_id("nobody");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().ExplainItem({}, request)).status()), Reason::kItemNotFound);
}

TEST(ForecastTest, CountsWithoutAskingOrStoring) {
  World world;
  for (const std::string& item : MakeItems(50)) world.outside.files["titles.jsonl"] += item + "\n";
  v1::PlanPipelineRequest request;
  *request.mutable_pipeline() = OfFile();
  const uint64_t written = world.disk.written();
  auto plan = world.Do(world.engine->pipelines().PlanPipeline({}, request));
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_EQ(plan->stages(0).items(), 50);
  EXPECT_EQ(plan->stages(1).items(), 50);
  EXPECT_EQ(plan->stages(2).items(), 50);
  EXPECT_FALSE(plan->stages(3).has_items());
  EXPECT_FALSE(plan->stages(3).reason().empty());
  EXPECT_EQ(world.disk.written(), written);
  EXPECT_THAT(world.outside.starts, SizeIs(0));
  v1::CreateRunRequest create;
  *create.mutable_definition() = OfFile();
  world.Wait(world.Create(create).name());
  plan = world.Do(world.engine->pipelines().PlanPipeline({}, request));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->stages(1).remembered(), 50);
  EXPECT_EQ(plan->stages(3).items(), 5);
  EXPECT_EQ(plan->stages(3).remembered(), 5);
  EXPECT_EQ(plan->stages(3).calls(), 0);
}

TEST(ForecastTest, CountsCallsOfItemsThatAreKnown) {
  World world;
  for (const std::string& item : MakeItems(20)) world.outside.files["titles.jsonl"] += item + "\n";
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  v1::PlanPipelineRequest request;
  *request.mutable_pipeline() = pipeline;
  request.set_limit(12);
  const auto plan = world.Do(world.engine->pipelines().PlanPipeline({}, request));
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_EQ(plan->stages(0).items(), 12);
  EXPECT_EQ(plan->stages(1).calls(), 12);
  EXPECT_TRUE(plan->stages(1).unpriced());
  EXPECT_FALSE(plan->stages(2).has_items());
}

TEST(PipelinesTest, AreAppliedListedRunAndDeleted) {
  World world;
  v1::ApplyPipelineRequest apply;
  *apply.mutable_pipeline() = Linear();
  auto applied = world.Do(world.engine->pipelines().ApplyPipeline({}, apply));
  ASSERT_TRUE(applied.ok()) << MessageOf(applied.status());
  EXPECT_TRUE(applied->changed());
  EXPECT_EQ(applied->pipeline().version(), 1);
  EXPECT_FALSE(world.Do(world.engine->pipelines().ApplyPipeline({}, apply))->changed());
  apply.mutable_pipeline()->set_description("another");
  EXPECT_EQ(world.Do(world.engine->pipelines().ApplyPipeline({}, apply))->pipeline().version(), 2);
  world.Crash();
  EXPECT_EQ(world.Do(world.engine->pipelines().ListPipelines({}, {}))->pipelines_size(), 1);
  v1::CreateRunRequest create;
  create.set_pipeline("toy");
  const std::string name = world.Create(create).name();
  v1::DeletePipelineRequest forget;
  forget.set_name("toy");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->pipelines().DeletePipeline({}, forget)).status()), Reason::kPipelineInUse);
  v1::CancelRunRequest cancel;
  cancel.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, cancel)).ok());
  ASSERT_TRUE(world.Do(world.engine->pipelines().DeletePipeline({}, forget)).ok());
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, create)).status()), Reason::kPipelineNotFound);
}

TEST(PipelinesTest, AWrongRequestIsRefusedBeforeAnythingIsStored) {
  World world;
  const uint64_t written = world.disk.written();
  v1::CreateRunRequest create;
  *create.mutable_definition() = Linear();
  StageOf(*create.mutable_definition(), "told").mutable_synthesize()->set_model("nobody");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, create)).status()), Reason::kModelNotFound);
  *create.mutable_definition() = MakePipeline({"in:fetch", "a:prepare:b"});
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, create)).status()), Reason::kInvalidDefinition);
  *create.mutable_definition() = Linear();
  create.set_limit(-1);
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, create)).status()), Reason::kInvalidField);
  create.clear_limit();
  create.set_validate_only(true);
  EXPECT_TRUE(world.Do(world.engine->runs().CreateRun({}, create)).ok());
  EXPECT_EQ(world.disk.written(), written);
  EXPECT_EQ(world.Do(world.engine->runs().ListRuns({}, {}))->runs_size(), 0);
}

TEST(EvictionTest, EvictedMemosAreComputedAgain) {
  World world;
  const std::string name = world.Wait(world.Create(Linear(), MakeItems(5)).name()).name();
  world.Pass(10s);
  world.Wait(world.Create(Linear(), MakeItems(8)).name());
  v1::EvictCacheRequest evict;
  evict.mutable_older_than()->set_seconds(5);
  const auto evicted = world.Do(world.engine->admin().EvictCache({}, evict));
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(evicted->memos(), 5);
  const v1::Run run = world.Wait(world.Create(Linear(), MakeItems(8)).name());
  EXPECT_EQ(world.Stage(run, "told").reused(), 3);
  EXPECT_EQ(world.Stage(run, "told").computed(), 5);
}

TEST(EvictionTest, AnEnormousDurationEvictsNothing) {
  World world;
  world.Wait(world.Create(Linear(), MakeItems(5)).name());
  world.Pass(10s);
  for (const int64_t seconds : {int64_t{18'446'744'074}, int64_t{315'576'000'000}, INT64_MAX}) {
    v1::EvictCacheRequest evict;
    evict.mutable_older_than()->set_seconds(seconds);
    const auto evicted = world.Do(world.engine->admin().EvictCache({}, evict));
    ASSERT_TRUE(evicted.ok());
    EXPECT_EQ(evicted->memos(), 0) << seconds;
  }
  for (const int64_t seconds : {int64_t{-1}, int64_t{-18'446'744'074}, INT64_MIN}) {
    v1::EvictCacheRequest evict;
    evict.mutable_older_than()->set_seconds(seconds);
    EXPECT_EQ(ReasonOf(world.Do(world.engine->admin().EvictCache({}, evict)).status()), Reason::kInvalidField)
        << seconds;
  }
}

TEST(GenerateTest, ANegativeAgeIsRefused) {
  World world;
  v1::GenerateRequest request;
  request.set_model("writer");
  v1::Message& message = *request.add_messages();
  message.set_role("user");
  message.set_content("hello");
  request.mutable_max_age()->set_seconds(-1);
  const auto response = world.Do(world.engine->completions().Generate({}, request));
  EXPECT_EQ(ReasonOf(response.status()), Reason::kInvalidField);
  ASSERT_EQ(ViolationsOf(response.status()).size(), 1u);
  EXPECT_EQ(ViolationsOf(response.status())[0].field, "max_age");
}

}  // namespace
}  // namespace millrace
