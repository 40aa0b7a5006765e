// Runs that were in progress each time the server was killed.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// Starts a run whose calls take so long that it makes no progress after its items are read.
std::string CreateStuck(World& world) {
  world.options.starts_max = 3;
  world.Crash();  // the next life has the option
  world.outside.latency = 2h;
  std::string name =
      world.Create(MakePipeline({"in:fetch", "told:synthesize:in", "out:store:told"}), MakeItems(5)).name();
  world.Pass(10s);
  return name;
}

TEST(RestartsTest, ARunThatWasInProgressAtThreeKillsInARowIsPaused) {
  World world;
  const std::string name = CreateStuck(world);
  for (int kills = 1; kills <= 2; ++kills) {
    world.Crash();
    world.Pass(10s);
    EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  }
  const size_t asked = world.outside.starts.size();
  world.Crash();
  world.Pass(10s);
  const v1::Run run = world.Get(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(run.waiting_on().reason(), v1::WaitingOn::REASON_REPAIR);
  EXPECT_THAT(run.waiting_on().remedy(),
              HasSubstr("the server was killed 3 times in a row while it worked on this run"));
  EXPECT_EQ(world.Stage(run, "in").ok(), 5);
  EXPECT_EQ(world.outside.starts.size(), asked);
  EXPECT_EQ(world.Events(name).back().state_changed().state(), v1::RUN_STATE_PAUSED);
  // It stays paused, until somebody resumes it; then three kills are needed again.
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_PAUSED);
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  world.Crash();
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(5));
}

TEST(RestartsTest, ACleanEndOfTheServerStartsTheCountAgain) {
  World world;
  const std::string name = CreateStuck(world);
  for (int life = 0; life < 6; ++life) {
    world.Crash();
    world.Pass(10s);
    struct Drained {
      static Task<bool> Do(Engine& engine, TimePoint deadline) {
        co_await engine.Drain(deadline);
        co_return true;
      }
    };
    ASSERT_TRUE(world.Do(Drained::Do(*world.engine, world.clock.Now() + 1s)));
    world.Crash();
    world.Pass(10s);
    EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  }
}

TEST(RestartsTest, ProgressStartsTheCountAgain) {
  World world;
  world.options.starts_max = 3;
  world.Crash();
  world.outside.latency = 10s;
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "told:synthesize:in", "out:store:told"});
  StageOf(pipeline, "told").set_concurrency(1);
  const std::string name = world.Create(pipeline, MakeItems(12)).name();
  for (int kills = 0; kills < 8; ++kills) {
    world.Pass(15s);  // one more item
    world.Crash();
    EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  }
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(RestartsTest, ARunThatIsPausedForItsRestartsCanBeCancelled) {
  World world;
  const std::string name = CreateStuck(world);
  for (int kills = 0; kills < 3; ++kills) world.Crash();
  ASSERT_EQ(world.Get(name).state(), v1::RUN_STATE_PAUSED);
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_CANCELLED);
}

}  // namespace
}  // namespace millrace
