// Counts of a stage as clients see them.
#include "server/engine/stage_counts.h"

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

}  // namespace
}  // namespace millrace
