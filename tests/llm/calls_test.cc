#include "server/llm/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/storage/answers.h"
#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Field;

TEST(CallsTest, AnswersAQuestionAndRemembersTheAnswer) {
  World world;
  const CallOutcome first = world.Answer("q", OfRun("r1"));
  EXPECT_TRUE(first.status.ok()) << first.status;
  EXPECT_EQ(first.text, "an answer");
  EXPECT_EQ(first.backend, "plain");
  EXPECT_EQ(first.model, "m");
  EXPECT_FALSE(first.cache_hit);
  EXPECT_EQ(first.totals.calls(), 1);
  EXPECT_EQ(first.totals.attempts(), 1);
  EXPECT_EQ(first.totals.input_tokens(), 10);
  EXPECT_EQ(first.totals.unpriced_attempts(), 1);
  EXPECT_FALSE(first.cost_nano_usd.has_value());
  ASSERT_EQ(first.attempts.size(), 1u);
  EXPECT_EQ(first.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_ANSWERED);
  EXPECT_EQ(first.attempts[0].call_key(), first.call_keys.at(0).Hex());
  EXPECT_THAT(first.attempts[0].item_ids(), ElementsAre("i"));

  const CallOutcome second = world.Answer("q", OfRun("r2"));
  EXPECT_EQ(second.text, "an answer");
  EXPECT_TRUE(second.cache_hit);
  EXPECT_EQ(second.totals.cache_hits(), 1);
  EXPECT_EQ(second.totals.attempts(), 0);
  EXPECT_EQ(world.provider.received.size(), 1u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
  EXPECT_EQ(world.Settled().size(), 1u);
}

TEST(CallsTest, SendsItsSecretToItsOwnHostOnly) {
  World world;
  world.Answer("q");
  ASSERT_EQ(world.provider.received.size(), 1u);
  EXPECT_EQ(FindHeader(world.provider.received[0].headers, "authorization"), "Bearer s3cret-key");
}

TEST(CallsTest, IdenticalCallsInFlightAreOneAttempt) {
  World world;
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 1000; ++i) asked.push_back(world.Ask("the same", OfRun("r", "i" + std::to_string(i))));
  ASSERT_TRUE(world.RunUntil([&] { return asked.back()->done; }));
  world.RunFor(1s);
  EXPECT_EQ(world.provider.received.size(), 1u);
  int64_t attempts = 0;
  int64_t coalesced = 0;
  for (const auto& one : asked) {
    ASSERT_TRUE(one->done);
    EXPECT_EQ(one->outcome.text, "an answer");
    attempts += one->outcome.totals.attempts();
    coalesced += one->outcome.totals.coalesced();
  }
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(coalesced, 999);
  EXPECT_EQ(asked[0]->outcome.attempts.at(0).item_ids_size(), 100);
}

TEST(CallsTest, AFollowersRunFindsTheAnswerAgainAsItsOwn) {
  World world;
  const auto leader = world.Ask("q", OfRun("r1"));
  const auto follower = world.Ask("q", OfRun("r2"));
  world.RunUntil([&] { return leader->done && follower->done; });
  EXPECT_TRUE(follower->outcome.coalesced);
  CallContext again = OfRun("r2");
  again.look_up = false;
  EXPECT_TRUE(world.Answer("q", again).cache_hit);
  again.run = "r3";
  EXPECT_FALSE(world.Answer("q", again).cache_hit);
}

TEST(CallsTest, RecordsAnAttemptBeforeItIsSent) {
  World world;
  for (int i = 0; i < 20; ++i) world.Ask("q" + std::to_string(i), OfRun("r"));
  world.RunFor(10s);
  ASSERT_EQ(world.provider.received.size(), 20u);
  EXPECT_THAT(world.provider.received, Each(Field(&Provider::Received::was_recorded, true)));
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallsTest, HoldsNoMoreSlotsThanItsTargetHas) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(3);
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 30; ++i) asked.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  EXPECT_TRUE(world.RunUntil([&] { return asked.back()->done; }));
  EXPECT_EQ(world.provider.in_flight_max, 3);
  EXPECT_EQ(world.calls().in_flight(), 0);
  EXPECT_EQ(world.calls().waiting(), 0);
}

TEST(CallsTest, ALargeRunDoesNotStarveASmallOne) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(2);
  for (int i = 0; i < 1000; ++i) world.Ask("large " + std::to_string(i), OfRun("a-large"));
  world.RunFor(1s);
  std::vector<std::shared_ptr<World::Asked>> small;
  const TimePoint begin = world.clock.Now();
  for (int i = 0; i < 10; ++i) small.push_back(world.Ask("small " + std::to_string(i), OfRun("b-small")));
  world.RunUntil([&] { return small.back()->done; });
  // Alone: 10 calls of 50 ms over 2 slots are 250 ms, and some storing.
  EXPECT_LE(world.clock.Now() - begin, 2 * 300ms);
}

TEST(CallsTest, HigherPriorityGoesFirstAndAgeDecidesInOneRun) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(1);
  world.Ask("first", OfRun("r"));
  world.RunFor(10ms);
  for (const char* text : {"low 1", "low 2"}) world.Ask(text, OfRun("r"));
  CallContext urgent = OfRun("r");
  urgent.priority = 5;
  world.Ask("urgent", urgent);
  world.RunFor(5s);
  std::vector<std::string> order;
  for (const auto& received : world.provider.received) {
    const size_t at = received.body.find("\"content\":\"") + 11;
    order.push_back(received.body.substr(at, received.body.find('"', at) - at));
  }
  EXPECT_THAT(order, ElementsAre("first", "urgent", "low 1", "low 2"));
}

TEST(CallsTest, AnswersOfEarlierRunsAreReusedByTheirAge) {
  World world;
  world.Answer("q", OfRun("r1"));
  world.RunFor(2h);
  CallContext late = OfRun("r2");
  late.cache_ttl = 1h;
  EXPECT_FALSE(world.Answer("q", late).cache_hit);
  EXPECT_TRUE(world.Answer("q", late).cache_hit);
  world.RunFor(2h);
  EXPECT_TRUE(world.Answer("q", late).cache_hit) << "an answer given to this run has no age";
}

TEST(CallsTest, ARefreshAsksOnceAnew) {
  World world;
  world.Answer("q", OfRun("r1"));
  CallContext refresh = OfRun("r2");
  refresh.look_up = false;
  EXPECT_FALSE(world.Answer("q", refresh).cache_hit);
  EXPECT_TRUE(world.Answer("q", refresh).cache_hit);
  EXPECT_EQ(world.provider.received.size(), 2u);
}

TEST(CallsTest, WhatIsNotRememberedIsFoundByItsOwnRunOnly) {
  World world;
  CallContext off = OfRun("r1");
  off.look_up = false;
  off.remember = false;
  EXPECT_FALSE(world.Answer("q", off).cache_hit);
  EXPECT_TRUE(world.Answer("q", off).cache_hit);
  EXPECT_FALSE(world.Answer("q", OfRun("r2")).cache_hit);
}

TEST(CallsTest, ADamagedAnswerIsAMissAndCounted) {
  World world;
  world.Answer("q", OfRun("r1"));
  ASSERT_TRUE(world.disk.FlipBit(SettledKey(1), 100));
  EXPECT_FALSE(world.Answer("q", OfRun("r2")).cache_hit);
  StatusOr<v1::CacheStats> stats = absl::UnknownError("");
  const auto read = [](Calls& calls, StatusOr<v1::CacheStats>& stats) -> Task<void> {
    stats = co_await calls.AnswerStats();
  };
  world.loop_->Spawn(read(world.calls(), stats));
  world.RunFor(1s);
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->corrupt(), 1);
  EXPECT_EQ(stats->misses(), 2);
}

TEST(CallsTest, EvictsAnswersByTarget) {
  World world;
  world.Answer("q", OfRun("r1"));
  StatusOr<int64_t> evicted = 0;
  const auto evict = [](Calls& calls, std::string target, StatusOr<int64_t>& evicted) -> Task<void> {
    evicted = co_await calls.EvictAnswers(std::nullopt, std::move(target), nullptr);
  };
  world.loop_->Spawn(evict(world.calls(), "plain/other", evicted));
  world.RunFor(1s);
  EXPECT_EQ(*evicted, 0);
  world.loop_->Spawn(evict(world.calls(), "plain/m", evicted));
  world.RunFor(1s);
  EXPECT_EQ(*evicted, 1);
  EXPECT_FALSE(world.Answer("q", OfRun("r2")).cache_hit);
}

TEST(CallsTest, EvictsNothingThatARunInProgressWasGiven) {
  World world;
  world.Answer("q", OfRun("r1"));
  world.Answer("p", OfRun("r2"));
  StatusOr<int64_t> evicted = 0;
  const auto evict = [](Calls& calls, StatusOr<int64_t>& evicted) -> Task<void> {
    std::function<bool(const std::string&)> in_use = [](const std::string& run) { return run == "r1"; };
    evicted = co_await calls.EvictAnswers(std::nullopt, "", std::move(in_use));
  };
  world.loop_->Spawn(evict(world.calls(), evicted));
  world.RunFor(1s);
  EXPECT_EQ(*evicted, 1);
  EXPECT_TRUE(world.Answer("q", OfRun("r1", "another")).cache_hit);
  EXPECT_FALSE(world.Answer("p", OfRun("r2", "another")).cache_hit);
}

// Adds an alias of the same target, whose calls must not be billed twice.
void AddStrictAlias(World& world) {
  v1::ModelConfig strict = world.config.models(0);
  strict.set_name("strict");
  strict.set_on_unknown(v1::ON_UNKNOWN_FAIL);
  strict.set_max_extra(0);
  *world.config.add_models() = strict;
}

TEST(CallsTest, CallsOfAliasesWithOtherPoliciesAreNotJoined) {
  for (const bool is_strict_first : {false, true}) {
    World world;
    AddStrictAlias(world);
    world.provider.script.push_back({.latency = 1s, .outcome = HttpOutcome::kUnknown});
    const auto strictly = [](CallRequest& request) { request.model_alias = "strict"; };
    std::shared_ptr<World::Asked> usual;
    if (!is_strict_first) usual = world.Ask("q", OfRun("r1"));
    const auto strict = world.Ask("q", OfRun("r2"), strictly);
    if (is_strict_first) usual = world.Ask("q", OfRun("r1"));
    world.RunUntil([&] { return strict->done && usual->done; });
    EXPECT_TRUE(usual->outcome.status.ok()) << usual->outcome.status;
    EXPECT_FALSE(strict->outcome.coalesced);
    EXPECT_FALSE(usual->outcome.coalesced);
    if (is_strict_first) {
      EXPECT_EQ(ReasonOf(strict->outcome.status), Reason::kUnknownOutcome);
    } else {
      EXPECT_EQ(strict->outcome.totals.attempts(), 0) << "it found the answer of the other";
    }
  }
}

}  // namespace
}  // namespace millrace
