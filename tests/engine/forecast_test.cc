// `plan` runs the real steps: what it says is what a run then does.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// A fetch of a file, a pure stage, a barrier, calls and a sink.
v1::Pipeline OfFile() {
  v1::Pipeline pipeline = MakePipeline(
      {"in:fetch", "made:prepare:in", "families:cluster:made", "told:synthesize:families", "out:store:told"});
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  return pipeline;
}

void WriteFile(World& world, const std::vector<std::string>& items) {
  std::string& file = world.outside.files["titles.jsonl"];
  file.clear();
  for (const std::string& item : items) file += item + "\n";
}

void RunOnce(World& world, const v1::Pipeline& pipeline) {
  v1::CreateRunRequest create;
  *create.mutable_definition() = pipeline;
  world.Wait(world.Create(create).name());
}

StatusOr<v1::PlanPipelineResponse> PlanOf(World& world, const v1::Pipeline& pipeline) {
  v1::PlanPipelineRequest request;
  *request.mutable_pipeline() = pipeline;
  return world.Do(world.engine->pipelines().PlanPipeline({}, request));
}

std::vector<int64_t> ItemsOf(const v1::PlanPipelineResponse& plan) {
  std::vector<int64_t> items;
  for (const v1::StagePlan& stage : plan.stages()) items.push_back(stage.has_items() ? stage.items() : -1);
  return items;
}

TEST(ForecastTest, CountsTheItemsThatARunDeliversToEachStage) {
  World world;
  std::vector<std::string> items = MakeItems(600);
  items[3] = R"({"id":"dropped","drop":true})";
  items[5] = R"({"id":"failed","fail":true})";
  items[7] = "not JSON";
  WriteFile(world, items);
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "made:prepare:in", "out:store:made"});
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  StageOf(pipeline, "in").mutable_max_failures()->set_count(0);  // a plan goes through all the same
  StageOf(pipeline, "in").mutable_expect()->set_min_items(1000);
  const auto plan = PlanOf(world, pipeline);
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_THAT(ItemsOf(*plan), ElementsAre(600, 599, 597));
  EXPECT_EQ(plan->stages(0).bytes(), static_cast<int64_t>(world.outside.files["titles.jsonl"].size()));
  EXPECT_THAT(world.outside.sink, SizeIs(0));
}

TEST(ForecastTest, FindsABarriersListBehindItemsThatAreOnlyPartlyMemoized) {
  World world;
  WriteFile(world, MakeItems(12));
  RunOnce(world, OfFile());
  world.Pass(10s);
  WriteFile(world, MakeItems(50));
  RunOnce(world, OfFile());
  v1::EvictCacheRequest evict;
  evict.mutable_older_than()->set_seconds(5);
  ASSERT_TRUE(world.Do(world.engine->admin().EvictCache({}, evict)).ok());
  const uint64_t written = world.disk.written();
  const auto plan = PlanOf(world, OfFile());
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_EQ(plan->stages(1).remembered(), 38);
  EXPECT_EQ(plan->stages(2).remembered(), 50);
  EXPECT_THAT(ItemsOf(*plan), ElementsAre(50, 50, 50, 5, 5));
  EXPECT_EQ(world.disk.written(), written);
}

TEST(ForecastTest, AStageBehindAnOpenCallHasAReasonAndNoFigures) {
  World world;
  WriteFile(world, MakeItems(20));
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "told:synthesize:in", "again:synthesize:told", "out:store:again"});
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  RunOnce(world, pipeline);
  auto plan = PlanOf(world, pipeline);
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_THAT(ItemsOf(*plan), ElementsAre(20, 20, 20, 20));
  EXPECT_EQ(plan->stages(1).remembered(), 20);
  WriteFile(world, MakeItems(21));
  plan = PlanOf(world, pipeline);
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_THAT(ItemsOf(*plan), ElementsAre(21, 21, -1, -1));
  EXPECT_EQ(plan->stages(1).calls(), 1);
  EXPECT_EQ(plan->stages(1).remembered(), 20);
  EXPECT_EQ(plan->stages(2).remembered(), 0);
  EXPECT_FALSE(plan->stages(2).has_calls());
  EXPECT_EQ(plan->stages(2).reason(), "answers for `told` are not known yet");
}

TEST(ForecastTest, ItemsOfAClientAreNotKnownAndThoseOfAFileBesideThemAre) {
  World world;
  WriteFile(world, MakeItems(5));
  v1::Pipeline pipeline = MakePipeline({"sent:fetch", "in:fetch", "made:prepare:in", "both:prepare:sent,made"});
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  const auto plan = PlanOf(world, pipeline);
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_THAT(ItemsOf(*plan), ElementsAre(-1, 5, 5, -1));
  EXPECT_EQ(plan->stages(0).reason(), "its items come from the client");
  EXPECT_EQ(plan->stages(3).reason(), "the items of `sent` come from the client");
}

TEST(ForecastTest, ABarrierOfSeveralStagesIsKnownWhenItRuns) {
  World world;
  WriteFile(world, MakeItems(5));
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "made:prepare:in", "all:cluster:in,made", "out:store:all"});
  StageOf(pipeline, "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  const auto plan = PlanOf(world, pipeline);
  ASSERT_TRUE(plan.ok()) << MessageOf(plan.status());
  EXPECT_THAT(ItemsOf(*plan), ElementsAre(5, 5, -1, -1));
  EXPECT_EQ(plan->stages(3).reason(), "known when it runs");
}

TEST(ForecastTest, ASourceThatCannotBeReadIsItsError) {
  World world;
  const auto plan = PlanOf(world, OfFile());
  EXPECT_EQ(ReasonOf(plan.status()), Reason::kFileError);
}

}  // namespace
}  // namespace millrace
