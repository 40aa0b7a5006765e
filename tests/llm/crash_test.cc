// What a killed process leaves behind: G1, G3 of the promises, at every moment of an attempt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "server/llm/classify.h"
#include "server/storage/keys.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

TEST(CrashTest, AnAnsweredAttemptIsCheckedAgainFromItsBytesAndNeverSentAgain) {
  World world;
  world.commits = false;  // the process dies before the caller commits
  EXPECT_EQ(world.Answer("q", OfRun("r")).text, "an answer");
  EXPECT_EQ(world.Count(Table::kAnswer), 0);
  world.Restart();
  world.commits = true;
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "an answer");
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(outcome.totals.output_tokens(), 5);
  EXPECT_EQ(outcome.totals.maybe_billed(), 0);
  EXPECT_EQ(world.provider.received.size(), 1u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
  ASSERT_EQ(world.Settled().size(), 1u);
  EXPECT_EQ(world.Settled()[0].outcome(), v1::ATTEMPT_OUTCOME_ANSWERED);
}

TEST(CrashTest, AnotherRunMayTakeWhatACrashLeftBehind) {
  World world;
  world.commits = false;
  world.Answer("q", OfRun("r1"));
  world.Restart();
  world.commits = true;
  const CallOutcome taken = world.Answer("q", OfRun("r2"));
  EXPECT_EQ(taken.text, "an answer");
  EXPECT_EQ(world.provider.received.size(), 1u);
  // The run that tried has the attempt and its tokens; for this one the answer is a cached one.
  EXPECT_EQ(taken.totals.attempts(), 0);
  EXPECT_EQ(taken.totals.output_tokens(), 0);
  EXPECT_EQ(taken.totals.calls(), 1);
  EXPECT_EQ(taken.totals.cache_hits(), 1);
  EXPECT_TRUE(taken.attempts.empty());
  ASSERT_EQ(world.Settled().size(), 1u);
  EXPECT_EQ(world.Settled()[0].output_tokens(), 5);
}

// ATTEMPTS, tokens and maybe_billed of a new run had an earlier run's tries of the same call.
TEST(CrashTest, ANewRunDoesNotCountTheTriesOfAnEarlierOne) {
  World world;
  world.provider.script.push_back({.status = 503});
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  world.Ask("q", OfRun("r1"));
  world.RunFor(5s);
  ASSERT_EQ(world.provider.received.size(), 2u);
  world.Restart();
  const CallOutcome outcome = world.Answer("q", OfRun("r2"));
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(outcome.totals.maybe_billed(), 0);
  EXPECT_EQ(outcome.totals.calls(), 1);
  EXPECT_EQ(outcome.attempts.size(), 1u);
  EXPECT_EQ(world.Settled().size(), 3u) << "the ledger has all of them";
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CrashTest, ARunThatInheritsACallInFlightDoesNotCountTheTriesOfTheRunThatLeft) {
  World world;
  world.provider.script.push_back({.status = 503});
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  CallContext first = OfRun("r1");
  const std::shared_ptr<StopSignal> stop = world.NewStop();
  first.stop = stop;
  const auto left = world.Ask("q", std::move(first));
  const auto stays = world.Ask("q", OfRun("r2"));
  world.RunFor(5s);
  ASSERT_EQ(world.provider.received.size(), 2u) << "the second attempt is in flight";
  stop->Stop();
  ASSERT_TRUE(world.RunUntil([&] { return stays->done; }));
  EXPECT_TRUE(left->outcome.stopped);
  EXPECT_EQ(world.provider.received.size(), 2u);
  EXPECT_EQ(stays->outcome.text, "an answer");
  EXPECT_EQ(stays->outcome.totals.attempts(), 0);
  EXPECT_EQ(stays->outcome.totals.maybe_billed(), 0);
}

TEST(CrashTest, AStartedAttemptIsSentAgainAndCountedAsMaybeBilled) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  for (int life = 0; life < 3; ++life) {
    world.Restart();
    world.Ask("q", OfRun("r"));
    world.RunFor(1s);
  }
  EXPECT_EQ(world.provider.received.size(), 3u);
  world.Restart();
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.totals.attempts(), 4);
  EXPECT_EQ(outcome.totals.maybe_billed(), 3);
  EXPECT_EQ(outcome.totals.calls(), 1);
  EXPECT_EQ(outcome.attempts.back().number(), 4);
  const std::vector<v1::Attempt> settled = world.Settled();
  ASSERT_EQ(settled.size(), 4u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(settled[i].outcome(), v1::ATTEMPT_OUTCOME_UNKNOWN);
    EXPECT_EQ(settled[i].number(), i + 1);
  }
}

TEST(CrashTest, AStartedAttemptFailsItsCallWhereThePolicySaysSo) {
  World world;
  world.config.mutable_models(0)->set_on_unknown(v1::ON_UNKNOWN_FAIL);
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  world.Ask("q", OfRun("r"));
  world.RunFor(1s);
  world.Restart();
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kUnknownOutcome);
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CrashTest, ARepairGoesOnWhereItWas) {
  World world;
  world.provider.script.push_back({.body = "no JSON"});
  world.provider.script.push_back({.latency = 10s, .body = "{}"});
  const auto with_schema = [](CallRequest& request) { request.question.output_schema = R"({"type":"object"})"; };
  world.Ask("q", OfRun("r"), with_schema);
  world.RunFor(5s);
  EXPECT_EQ(world.provider.received.size(), 2u);
  world.Restart();
  world.provider.usual = [](const HttpRequest&) { return Reaction{.body = "{}"}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"), with_schema);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(world.provider.received.size(), 3u) << "the first answer was there, the repair was not";
  EXPECT_EQ(outcome.totals.calls(), 2);
  EXPECT_EQ(outcome.totals.attempts(), 3);
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CrashTest, KilledAtAnyMomentNoAnsweredCallIsSentAgainAndEverySendIsRecorded) {
  constexpr int kCalls = 40;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    World world(seed);
    world.store_options.durability.mode = seed % 2 == 0 ? Durability::Mode::kProcess : Durability::Mode::kSync;
    world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(7);
    world.provider.usual = [&](const HttpRequest&) {
      Reaction reaction;
      reaction.latency = Duration(static_cast<int64_t>(random.Below(60'000'000)));
      const uint64_t fate = random.Below(20);
      if (fate == 0) reaction.status = 503;
      if (fate == 1) reaction.outcome = HttpOutcome::kUnknown;
      if (fate == 2) reaction.outcome = HttpOutcome::kNotSent;
      return reaction;
    };
    std::map<int, CallOutcome> outcomes;
    int kills = 0;
    for (; outcomes.size() < kCalls && kills < 500; ++kills) {
      world.Restart();
      std::map<int, std::shared_ptr<World::Asked>> asked;
      for (int i = 0; i < kCalls; ++i) {
        if (!outcomes.contains(i)) asked[i] = world.Ask("question " + std::to_string(i), OfRun("r"));
      }
      world.RunFor(Duration(static_cast<int64_t>(random.Below(120'000'000))));
      world.Crash();
      for (const auto& [i, one] : asked) {
        if (one->done) outcomes[i] = one->outcome;
      }
    }
    ASSERT_EQ(outcomes.size(), kCalls) << seed;
    int64_t attempts = 0;
    for (const auto& [i, outcome] : outcomes) {
      ASSERT_TRUE(outcome.status.ok()) << outcome.status;
      attempts += outcome.totals.attempts();
    }
    for (const auto& received : world.provider.received) EXPECT_TRUE(received.was_recorded);
    // From the ledger: a life that died after its commit told nobody what it had paid.
    int64_t maybe_billed = 0;
    int64_t rejected = 0;
    std::map<std::string, int> answered;
    const std::vector<v1::Attempt> settled = world.Settled();
    for (const v1::Attempt& attempt : settled) {
      maybe_billed += IsMaybeBilled(attempt.outcome());
      rejected += attempt.outcome() == v1::ATTEMPT_OUTCOME_REJECTED;
      answered[attempt.call_key()] += attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED;
    }
    EXPECT_LE(static_cast<int64_t>(world.provider.received.size()), kCalls + maybe_billed + rejected) << seed;
    for (const auto& [key, count] : answered) EXPECT_EQ(count, 1) << seed;
    EXPECT_GE(static_cast<int64_t>(settled.size()), attempts) << seed;
    EXPECT_GE(settled.size(), world.provider.received.size()) << seed;
    // What was answered and stored is there: asking everything again costs nothing.
    world.Restart();
    const size_t before = world.provider.received.size();
    for (int i = 0; i < kCalls; ++i) world.Answer("question " + std::to_string(i), OfRun("r"));
    EXPECT_EQ(world.provider.received.size(), before) << seed;
    EXPECT_EQ(world.Count(Table::kPending), 0) << seed;
  }
}

}  // namespace
}  // namespace millrace
