// Counts of attempts that are not settled yet.
#include "server/llm/live_attempts.h"

#include <gtest/gtest.h>

#include "tests/llm/world.h"

namespace millrace {
namespace {

AttemptCounts AttemptsOf(World& world, const std::string& run) {
  const AttemptsByStage by_stage = world.calls().FindAttempts(run);
  return by_stage.contains("s") ? by_stage.at("s") : AttemptCounts();
}

TEST(LiveAttemptsTest, AttemptsCountFromTheirBeginningToTheCommitOfTheirPayer) {
  World world;
  world.provider.script.push_back({.latency = 1s, .outcome = HttpOutcome::kUnknown});
  world.provider.script.push_back({.latency = 1s, .status = 503, .body = ""});
  world.provider.script.push_back({.latency = 60s});
  world.config.mutable_models(0)->mutable_timeout()->mutable_total()->set_seconds(10'000);
  const auto asked = world.Ask("q", OfRun("r"));
  const auto joined = world.Ask("q", OfRun("other"));
  world.RunFor(500ms);
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 1);
  EXPECT_EQ(AttemptsOf(world, "r").maybe_billed, 0);
  world.RunFor(40s);
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 3);
  EXPECT_EQ(AttemptsOf(world, "r").maybe_billed, 1);
  EXPECT_EQ(AttemptsOf(world, "other").attempts, 0) << "it does not pay";
  world.RunUntil([&] { return asked->done && joined->done; });
  EXPECT_EQ(asked->outcome.totals.attempts(), 3);
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 0) << "the payer has stored them";
}

TEST(LiveAttemptsTest, AttemptsStayCountedUntilTheClaimsAreReleased) {
  World world;
  world.commits = false;
  auto asked = world.Ask("q", OfRun("r"));
  world.RunUntil([&] { return asked->done; });
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 1);
  asked.reset();
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 0);
}

TEST(LiveAttemptsTest, ACallThatIsTakenOverAfterACrashCountsItsEarlierAttempts) {
  World world;
  world.provider.script.push_back({.latency = 50s});
  world.Ask("q", OfRun("r"));
  world.RunFor(1s);
  world.Crash();
  world.provider.script = {{.latency = 50s}};
  world.Ask("q", OfRun("r"));
  world.RunFor(30s);
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 2);
  EXPECT_EQ(AttemptsOf(world, "r").maybe_billed, 1);
}

TEST(LiveAttemptsTest, AnAttemptWhoseCallersChangeIsCountedOnce) {
  World world;
  world.provider.script.push_back({.latency = 20s});
  CallContext context = OfRun("r");
  context.deadline = TimePoint(5s);
  const auto late = world.Ask("q", context);
  world.RunUntil([&] { return late->done; });
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 0) << "nobody pays for the attempt in flight";
  const auto asked = world.Ask("q", OfRun("r"));
  world.RunFor(1s);
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 1);
  world.RunUntil([&] { return asked->done; });
  EXPECT_EQ(asked->outcome.totals.attempts(), 1);
  EXPECT_EQ(AttemptsOf(world, "r").attempts, 0);
}

}  // namespace
}  // namespace millrace
