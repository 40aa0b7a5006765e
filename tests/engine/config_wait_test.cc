// Runs that this process can't load, because it has another configuration.
#include <utility>

#include "server/storage/keys.h"
#include "server/storage/runs.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::SizeIs;

// Starts a run of 20 items; 4 have an answer and 4 more are in flight.
std::string CreateHalfTold(World& world) {
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").mutable_synthesize()->set_model("writer");
  StageOf(pipeline, "told").set_concurrency(4);
  world.outside.latency = 1s;
  std::string name = world.Create(pipeline, MakeItems(20)).name();
  world.Pass(1500ms);
  return name;
}

void ExpectWaitsForConfig(const v1::Run& run) {
  EXPECT_EQ(run.state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run.waiting_on().reason(), v1::WaitingOn::REASON_CONFIG);
  EXPECT_EQ(run.waiting_on().object(), "writer");
  EXPECT_EQ(run.waiting_on().error(), v1::ERROR_REASON_MODEL_NOT_FOUND);
  EXPECT_THAT(run.waiting_on().remedy(), testing::HasSubstr("model `writer` is not configured here"));
  EXPECT_FALSE(run.has_end_time());
}

// A look with another configuration ended a run for good.
TEST(ConfigWaitTest, ARunWhoseModelIsGoneWaitsAndContinuesOnceTheModelIsBack) {
  for (const bool starts_runs : {true, false}) {
    World world;
    const std::string name = CreateHalfTold(world);
    world.options.starts_runs = starts_runs;
    world.outside.gone = {"writer"};
    world.Crash();
    const int64_t events = std::ssize(world.Events(name));
    for (int look = 0; look < 2; ++look) {
      const v1::Run waiting = world.Get(name);
      ExpectWaitsForConfig(waiting);
      ExpectWaitsForConfig(world.Do(world.engine->runs().ListRuns({}, {}))->runs(0));
      EXPECT_EQ(world.Stage(waiting, "told").items_in(), 20);
      EXPECT_EQ(world.Stage(waiting, "told").ok(), 4);
      EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).status()),
                Reason::kModelNotFound);
      world.Pass(60s);
      world.Crash();
    }
    EXPECT_EQ(std::ssize(world.Events(name)), events) << "the looks changed the run";
    world.outside.gone.clear();
    world.options.starts_runs = true;
    world.Crash();
    EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
    EXPECT_THAT(world.outside.sink.back(), SizeIs(20));
  }
}

TEST(ConfigWaitTest, ARunWhoseModelIsGoneCanBePausedAndCancelled) {
  World world;
  const std::string name = CreateHalfTold(world);
  world.outside.gone = {"writer"};
  world.Crash();
  const auto paused = world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name)));
  ASSERT_TRUE(paused.ok()) << MessageOf(paused.status());
  EXPECT_EQ(paused->run().state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(paused->run().waiting_on().reason(), v1::WaitingOn::REASON_USER);
  world.outside.gone.clear();
  world.Crash();
  world.Pass(60s);
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_PAUSED);
  world.outside.gone = {"writer"};
  world.Crash();
  const auto cancelled = world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name)));
  ASSERT_TRUE(cancelled.ok()) << MessageOf(cancelled.status());
  EXPECT_EQ(cancelled->run().state(), v1::RUN_STATE_CANCELLED);
  EXPECT_TRUE(world.Do(world.engine->runs().DeleteRun({}, Named<v1::DeleteRunRequest>(name))).ok());
}

// A client that waits in a loop would ask without a pause.
TEST(ConfigWaitTest, WaitRunWaitsForTheConfigurationToo) {
  World world;
  const std::string name = CreateHalfTold(world);
  world.outside.gone = {"writer"};
  world.Crash();
  auto request = Named<v1::WaitRunRequest>(name);
  request.mutable_timeout()->set_seconds(30);
  const TimePoint before = world.loop->Now();
  const auto waited = world.Do(world.engine->runs().WaitRun({}, request));
  ASSERT_TRUE(waited.ok()) << MessageOf(waited.status());
  ExpectWaitsForConfig(waited->run());
  EXPECT_GE(world.loop->Now() - before, 30s);
  EXPECT_LT(world.loop->Now() - before, 31s);
}

// A disk that was not mounted ended half a run for good.
TEST(ConfigWaitTest, ARunWhoseFileIsGonePausesAndContinuesOnceItIsBack) {
  World world;
  const std::string name = world.CreateFromFile({"in:fetch", "told:synthesize:in", "out:store:told"}, 2000).name();
  ASSERT_TRUE(world.Until([&] { return world.outside.starts.size() > 3; }));
  const std::string file = std::exchange(world.outside.files["titles.jsonl"], "");
  world.outside.files.clear();
  world.Crash();
  ASSERT_TRUE(world.Until([&] { return world.Get(name).state() != v1::RUN_STATE_RUNNING; }));
  const v1::Run paused = world.Get(name);
  EXPECT_EQ(paused.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(paused.waiting_on().reason(), v1::WaitingOn::REASON_CONFIG);
  EXPECT_EQ(paused.waiting_on().error(), v1::ERROR_REASON_FILE_ERROR);
  EXPECT_EQ(paused.waiting_on().remedy(), "stage `in`: no such file; put it back, then resume the run");
  world.outside.files["titles.jsonl"] = file;
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(2000));
}

TEST(ConfigWaitTest, ANewRunWhoseFileDoesNotExistFails) {
  World world;
  v1::CreateRunRequest request;
  *request.mutable_definition() = MakePipeline({"in:fetch", "told:synthesize:in"});
  StageOf(*request.mutable_definition(), "in").mutable_fetch()->mutable_jsonl()->set_path("misspelt.jsonl");
  const v1::Run run = world.Wait(world.Create(request).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.error().reason(), v1::ERROR_REASON_FILE_ERROR);
}

TEST(ConfigWaitTest, ARunWhoseModelIsGoneWaitsEvenIfItsCountsAreDamaged) {
  World world;
  const std::string name = CreateHalfTold(world);
  WriteBatch damage;
  damage.Put(StageKey(name, "told"), "\xff");
  ASSERT_TRUE(world.Do(world.store->Commit(std::move(damage))).ok());
  world.outside.gone = {"writer"};
  world.Crash();
  ExpectWaitsForConfig(world.Get(name));
  // A look does not end a damaged run either; a server with the model does.
  world.outside.gone.clear();
  world.options.starts_runs = false;
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  world.options.starts_runs = true;
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(world.Get(name).error().reason(), v1::ERROR_REASON_STORE_CORRUPT);
  EXPECT_EQ(world.Create(Linear(), MakeItems(3, "b")).state(), v1::RUN_STATE_RUNNING);
}

}  // namespace
}  // namespace millrace
