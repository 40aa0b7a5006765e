// Crashes at any moment lose nothing and duplicate nothing, and no stored answer is requested again.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::SizeIs;

v1::Pipeline Pipeline() {
  return MakePipeline({"in:fetch", "made:prepare:in", "told:synthesize:made", "families:cluster:made",
                       "named:synthesize:families", "out:store:named,told"});
}

void ExpectWhole(World& world, const std::string& name, int items) {
  const v1::Run run = world.Get(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED) << run.error().message();
  for (const std::string stage : {"in", "made", "told"}) {
    const std::vector<v1::Item> listed = world.Items(name, stage);
    std::set<std::string> ids;
    for (const v1::Item& item : listed) ids.insert(item.id());
    EXPECT_THAT(listed, SizeIs(items)) << stage;
    EXPECT_THAT(ids, SizeIs(items)) << stage;
    EXPECT_EQ(world.Stage(run, stage).ok(), items) << stage;
  }
  EXPECT_EQ(world.Stage(run, "families").ok(), 5);
  EXPECT_EQ(world.Stage(run, "named").ok(), 5);
  ASSERT_FALSE(world.outside.sink.empty());
  EXPECT_THAT(world.outside.sink.back(), SizeIs(items + 5));
  const std::vector<v1::RunEvent> events = world.Events(name);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].number(), static_cast<int64_t>(i) + 1);
  EXPECT_EQ(events.back().state_changed().state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(CrashTest, ARunContinuesAfterACrashAtAnyMoment) {
  constexpr int kItems = 12;
  // Kills one run at another moment each time.
  for (int moment = 1; moment <= 120; ++moment) {
    SCOPED_TRACE(moment);
    World world(static_cast<uint64_t>(moment));
    world.options.chunk_items = 5;
    v1::Pipeline pipeline = Pipeline();
    StageOf(pipeline, "told").set_concurrency(3);
    const std::string name = world.Create(pipeline, MakeItems(kItems)).name();
    world.Pass(moment * 500us);
    world.Crash(moment % 2 == 0);
    world.Wait(name);
    ExpectWhole(world, name, kItems);
    for (const auto& [question, times] : world.outside.asked) EXPECT_LE(times, 2) << question;
    if (testing::Test::HasFailure()) return;
  }
}

TEST(CrashTest, ARunThatIsKilledRepeatedlyEnds) {
  World world;
  v1::Pipeline pipeline = Pipeline();
  StageOf(pipeline, "told").set_concurrency(4);
  const std::string name = world.Create(pipeline, MakeItems(60)).name();
  int crashes = 0;
  while (world.Get(name).state() == v1::RUN_STATE_RUNNING) {
    world.Pass(23ms);
    world.Crash();
    ASSERT_LT(++crashes, 200);
  }
  EXPECT_GT(crashes, 5);
  ExpectWhole(world, name, 60);
}

TEST(CrashTest, AStoredAnswerIsNeverRequestedAgain) {
  World world;
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "told:synthesize:in"});
  StageOf(pipeline, "told").set_concurrency(1);
  const std::string name = world.Create(pipeline, MakeItems(20)).name();
  while (world.Get(name).state() == v1::RUN_STATE_RUNNING) {
    world.Pass(95ms);
    const int64_t stored = world.Stage(world.Get(name), "told").ok();
    world.Crash();
    EXPECT_GE(world.Stage(world.Get(name), "told").ok(), stored);
  }
  int again = 0;
  for (const auto& [question, times] : world.outside.asked) again += times - 1;
  EXPECT_LE(again, world.boots - 1);  // one call was in flight at each kill
}

TEST(CrashTest, AFileThatChangedWhileTheServerWasDownFailsTheRunClearly) {
  World world;
  const std::string name = world.CreateFromFile({"in:fetch", "told:synthesize:in"}, 2000).name();
  ASSERT_TRUE(world.Until([&] { return world.outside.starts.size() > 3; }));
  world.outside.files["titles.jsonl"] += "{\"id\":\"new\"}\n";
  world.Crash();
  const v1::Run run = world.Wait(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.error().reason(), v1::ERROR_REASON_FILE_ERROR);
}

TEST(CrashTest, AnUnchangedFileIsReadFromTheCursorOn) {
  World world;
  const std::string name = world.CreateFromFile({"in:fetch", "made:prepare:in", "out:store:made"}, 2000).name();
  for (int i = 0; i < 10; ++i) {
    world.Pass(40ms);
    world.Crash(i % 2 == 1);
  }
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(2000));
  EXPECT_THAT(world.Items(name, "made"), SizeIs(2000));
}

TEST(CrashTest, ARunContinuesAfterTheStoreFailsAndReopens) {
  World world;
  world.outside.latency = 100ms;
  const std::string name = world.Create(Pipeline(), MakeItems(50)).name();
  for (int i = 0; i < 4; ++i) {
    world.Pass(25ms);
    world.disk.faults.commits = 1;
    world.disk.faults.reads = 2;
  }
  world.Pass(2s);
  world.disk.faults = {};
  world.Wait(name);
  ExpectWhole(world, name, 50);
  for (const auto& [question, times] : world.outside.asked) EXPECT_EQ(times, 1) << question;
}

}  // namespace
}  // namespace millrace
