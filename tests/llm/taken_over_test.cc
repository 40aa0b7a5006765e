// Each attempt counts in exactly one run, the one that made it, also if another run takes it over and settles it.
#include "server/storage/taken_over.h"

#include <gtest/gtest.h>

#include "server/llm/calls.h"
#include "server/storage/keys.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using storage::v1::CallTotals;

Task<void> Load(Store& store, std::string run, std::optional<CallTotals>& totals) {
  const StatusOr<TakenOver> taken = co_await LoadTakenOver(store, std::move(run));
  EXPECT_TRUE(taken.ok());
  totals.emplace();
  if (const auto found = taken->totals.find("s"); found != taken->totals.end()) totals = found->second;
}

// Returns the counts that the run has of attempts which others have settled.
CallTotals TakenFrom(World& world, const std::string& run) {
  std::optional<CallTotals> totals;
  world.loop_->Spawn(Load(*world.store_, run, totals));
  EXPECT_TRUE(world.RunUntil([&] { return totals.has_value(); }));
  return totals.value_or(CallTotals());
}

void AnswersAfter10s(World& world) {
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
}

TEST(TakenOverTest, AfterACrashTheRunThatMadeAnAttemptCountsIt) {
  World world;
  world.provider.script.push_back({.status = 503});
  AnswersAfter10s(world);
  world.Ask("q", OfRun("r1"));
  world.RunFor(5s);
  ASSERT_EQ(world.provider.received.size(), 2u);
  world.Restart();
  const CallOutcome outcome = world.Answer("q", OfRun("r2"));
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(outcome.totals.output_tokens(), 5);
  const CallTotals taken = TakenFrom(world, "r1");
  EXPECT_EQ(taken.attempts(), 2) << "the provider received three";
  EXPECT_EQ(taken.maybe_billed(), 1);
  EXPECT_EQ(taken.output_tokens(), 0);
  EXPECT_EQ(world.provider.received.size(), 3u);
}

TEST(TakenOverTest, AnAnswerThatACrashLeftCountsItsTokensInTheRunThatPaid) {
  World world;
  world.commits = false;
  world.Answer("q", OfRun("r1"));
  world.Restart();
  world.commits = true;
  EXPECT_EQ(world.Answer("q", OfRun("r2")).totals.attempts(), 0);
  const CallTotals taken = TakenFrom(world, "r1");
  EXPECT_EQ(taken.attempts(), 1);
  EXPECT_EQ(taken.maybe_billed(), 0);
  EXPECT_EQ(taken.input_tokens(), 10);
  EXPECT_EQ(taken.output_tokens(), 5);
  EXPECT_EQ(taken.calls(), 0) << "its item asks again, and counts the call then";
}

TEST(TakenOverTest, ARunThatLeftCountsItsAttemptAlsoIfOthersGetTheAnswer) {
  World world;
  AnswersAfter10s(world);
  CallContext first = OfRun("r1");
  first.stop = world.NewStop();
  const std::shared_ptr<StopSignal> stop = first.stop;
  const auto left = world.Ask("q", std::move(first));
  const auto second = world.Ask("q", OfRun("r2"));
  const auto third = world.Ask("q", OfRun("r3"));
  world.RunFor(1s);
  stop->Stop();
  ASSERT_TRUE(world.RunUntil([&] { return left->done && second->done && third->done; }));
  world.RunFor(1s);
  EXPECT_EQ(second->outcome.totals.attempts() + third->outcome.totals.attempts(), 0);
  const CallTotals taken = TakenFrom(world, "r1");
  EXPECT_EQ(taken.attempts(), 1);
  EXPECT_EQ(taken.input_tokens(), 10);
  EXPECT_EQ(taken.output_tokens(), 5);
  EXPECT_EQ(TakenFrom(world, "r2").attempts() + TakenFrom(world, "r3").attempts(), 0);
  // The run comes back: it finds the answer, and nothing is counted twice.
  EXPECT_EQ(world.Answer("q", OfRun("r1")).totals.attempts(), 0);
  EXPECT_EQ(TakenFrom(world, "r1").attempts(), 1);
}

TEST(TakenOverTest, ARunThatLeavesBetweenTwoAttemptsCountsTheFirst) {
  World world;
  world.provider.script.push_back({.status = 503});
  AnswersAfter10s(world);
  CallContext first = OfRun("r1");
  first.stop = world.NewStop();
  const std::shared_ptr<StopSignal> stop = first.stop;
  world.Ask("q", std::move(first));
  const auto second = world.Ask("q", OfRun("r2"));
  ASSERT_TRUE(world.RunUntil([&] { return world.provider.received.size() == 1; }));
  world.RunFor(1ms);
  stop->Stop();
  ASSERT_TRUE(world.RunUntil([&] { return second->done; }));
  world.RunFor(1s);
  ASSERT_EQ(world.provider.received.size(), 2u);
  EXPECT_EQ(TakenFrom(world, "r1").attempts() + second->outcome.totals.attempts(), 2);
}

TEST(TakenOverTest, ARunThatSettlesItsOwnAttemptsWritesNoEntry) {
  World world;
  AnswersAfter10s(world);
  world.provider.script.push_back({.status = 503});
  world.Ask("q", OfRun("r1"));
  world.RunFor(5s);
  world.Restart();
  EXPECT_EQ(world.Answer("q", OfRun("r1")).totals.attempts(), 3);
  EXPECT_EQ(world.Answer("q", OfRun("r2")).totals.attempts(), 0);
  EXPECT_EQ(world.Count(Table::kRunAttempt), 0);
}

// Two questions, the second a repair, with a failure before each answer: at any moment the first run crashes or leaves.
TEST(TakenOverTest, AtAnyMomentTheSumOverBothRunsIsThatOfTheLedger) {
  for (const bool crashes : {true, false}) {
    int taken_over = 0;
    for (Duration at = 0s; at < 40s; at += 250ms) {
      World world;
      world.provider.script.push_back({.status = 503});
      world.provider.script.push_back({.latency = 3s, .body = "no JSON"});
      world.provider.script.push_back({.status = 503});
      world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 3s, .body = R"({"n":1})"}; };
      CallContext first = OfRun("r1");
      first.stop = world.NewStop();
      const std::shared_ptr<StopSignal> stop = first.stop;
      const auto one = world.Ask("q", std::move(first), WithSchema);
      std::shared_ptr<World::Asked> two;
      if (!crashes) two = world.Ask("q", OfRun("r2"), WithSchema);
      world.RunFor(at);
      int64_t counted = 0;
      if (crashes) {
        if (one->done) break;
        world.Restart();
        two = world.Ask("q", OfRun("r2"), WithSchema);
      } else {
        stop->Stop();
      }
      ASSERT_TRUE(world.RunUntil([&] { return two->done; }));
      world.RunFor(1min);
      EXPECT_TRUE(two->outcome.status.ok()) << two->outcome.status;
      if (!crashes) counted += one->outcome.totals.attempts();
      counted += two->outcome.totals.attempts();
      const CallTotals taken = TakenFrom(world, "r1");
      taken_over += taken.attempts() > 0 ? 1 : 0;
      int64_t tokens = 0;
      for (const v1::Attempt& attempt : world.Settled()) tokens += attempt.output_tokens();
      const auto when = std::chrono::duration_cast<std::chrono::milliseconds>(at).count();
      EXPECT_EQ(world.Count(Table::kPending), 0);
      EXPECT_EQ(counted + taken.attempts(), static_cast<int64_t>(world.Settled().size()))
          << (crashes ? "a crash" : "a leave") << " after " << when << " ms";
      EXPECT_EQ(one->outcome.totals.output_tokens() * (crashes ? 0 : 1) + two->outcome.totals.output_tokens() +
                    taken.output_tokens(),
                tokens)
          << (crashes ? "a crash" : "a leave") << " after " << when << " ms";
      // Requests that were on record and never left are attempts, too.
      EXPECT_GE(world.Settled().size(), world.provider.received.size());
    }
    EXPECT_GT(taken_over, 5);
  }
}

}  // namespace
}  // namespace millrace
