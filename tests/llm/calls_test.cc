#include "server/llm/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/storage/answers.h"
#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "server/storage/value_codec.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;

CallContext OfRun(std::string run, std::string item = "i") {
  CallContext context;
  context.run = std::move(run);
  context.stage = "s";
  context.item_ids = {std::move(item)};
  return context;
}

void WithSchema(CallRequest& request) {
  request.question.output_schema = R"({"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}})";
}

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
  EXPECT_EQ(world.Count(Table::kAttempt), 1);
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
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_max_concurrency(3);
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 30; ++i) asked.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  EXPECT_TRUE(world.RunUntil([&] { return asked.back()->done; }));
  EXPECT_EQ(world.provider.in_flight_max, 3);
  EXPECT_EQ(world.calls().in_flight(), 0);
  EXPECT_EQ(world.calls().waiting(), 0);
}

TEST(CallsTest, ALargeRunDoesNotStarveASmallOne) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_max_concurrency(2);
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
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_max_concurrency(1);
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
  const CallOutcome outcome = world.Answer("q", OfRun("r1"));
  ASSERT_TRUE(world.disk.FlipBit(AnswerKey(outcome.call_keys[0]), 100));
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
    evicted = co_await calls.EvictAnswers(std::nullopt, std::move(target));
  };
  world.loop_->Spawn(evict(world.calls(), "plain/other", evicted));
  world.RunFor(1s);
  EXPECT_EQ(*evicted, 0);
  world.loop_->Spawn(evict(world.calls(), "plain/m", evicted));
  world.RunFor(1s);
  EXPECT_EQ(*evicted, 1);
  EXPECT_FALSE(world.Answer("q", OfRun("r2")).cache_hit);
}

TEST(CallsTest, ATargetsFailuresNeverFailACallByCount) {
  World world;
  for (int i = 0; i < 40; ++i) world.provider.script.push_back({.latency = 5ms, .status = 503, .body = ""});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.totals.attempts(), 41);
  EXPECT_EQ(outcome.totals.maybe_billed(), 0);
  EXPECT_EQ(outcome.totals.unpriced_attempts(), 1);
  EXPECT_EQ(outcome.attempts.back().number(), 41);
  EXPECT_EQ(world.Count(Table::kAttempt), 41);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallsTest, BacksOffWithFullJitterUpToItsMaximum) {
  World world;
  world.config.mutable_models(0)->mutable_retry()->mutable_max_backoff()->set_seconds(4);
  for (int i = 0; i < 200; ++i) world.provider.script.push_back({.latency = 0ms, .outcome = HttpOutcome::kNotSent});
  world.Answer("q", OfRun("r"));
  // The waits are uniform in [0, 4 s] but for the first few: 200 of them take about 400 s.
  EXPECT_GT(world.clock.Now().time_since_epoch(), 300s);
  EXPECT_LT(world.clock.Now().time_since_epoch(), 500s);
}

TEST(CallsTest, EveryCallToATargetObeysItsRetryAfter) {
  World world;
  world.provider.script.push_back({.latency = 5ms, .status = 429, .body = "", .headers = {{"Retry-After", "60"}}});
  world.Ask("q0", OfRun("r"));
  world.RunFor(30ms);
  for (int i = 1; i < 10; ++i) world.Ask("q" + std::to_string(i), OfRun("r" + std::to_string(i)));
  world.RunFor(55s);
  EXPECT_EQ(world.provider.received.size(), 1u);
  world.RunFor(10s);
  EXPECT_EQ(world.provider.received.size(), 11u);
}

TEST(CallsTest, AsksTheNextTargetWhileTheFirstFails) {
  World world;
  v1::TargetConfig& second = *world.config.mutable_models(0)->add_targets();
  second.set_backend("other");
  second.set_model("m2");
  second.set_priority(2);
  world.provider.usual = [](const HttpRequest& request) {
    Reaction reaction;
    if (request.url == "http://provider/m") reaction.outcome = HttpOutcome::kNotSent;
    return reaction;
  };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.model, "m2");
  EXPECT_EQ(outcome.totals.attempts(), 2);
  EXPECT_LT(world.clock.Now().time_since_epoch(), 1s);
  EXPECT_EQ(world.calls().FailingTarget("r"), "");
}

TEST(CallsTest, LowerPriorityTargetsAreNotForOverflow) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_max_concurrency(1);
  v1::TargetConfig& second = *world.config.mutable_models(0)->add_targets();
  second.set_backend("other");
  second.set_model("m2");
  second.set_priority(2);
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  world.RunFor(10s);
  for (const auto& one : asked) EXPECT_EQ(one->outcome.model, "m");
}

TEST(CallsTest, ARefusedRequestIsFinalForItsTarget) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.status = 400, .body = ""}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), "REQUEST_REFUSED");
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(world.Count(Table::kPending), 0);
  ASSERT_EQ(outcome.attempts.size(), 1u);
  EXPECT_EQ(outcome.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_REJECTED);
}

TEST(CallsTest, GenerateIsToldWhatPeopleMustMendAndARunWaitsForIt) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.status = 401, .body = ""}; };
  EXPECT_EQ(ReasonOf(world.Answer("q").status), "PROVIDER_CREDENTIALS");
  const auto asked = world.Ask("q", OfRun("r"));
  world.RunFor(2min);
  EXPECT_FALSE(asked->done);
  EXPECT_EQ(world.calls().FailingTarget("r"), "plain/m");
  EXPECT_EQ(world.calls().FailingTarget("another"), "");
}

TEST(CallsTest, TheDeadlineEndsACallWithWhatKeptItFromSucceeding) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.status = 500, .body = ""}; };
  CallContext context = OfRun("r");
  context.deadline = TimePoint(1min);
  const CallOutcome outcome = world.Answer("q", context);
  EXPECT_EQ(ReasonOf(outcome.status), "TARGET_FAILED");
  EXPECT_EQ(world.clock.Now(), TimePoint(1min) + (world.clock.Now() - TimePoint(1min)));
  EXPECT_LT(world.clock.Now(), TimePoint(1min) + 100ms);
  EXPECT_GT(outcome.totals.attempts(), 2);
  const size_t sent = world.provider.received.size();
  world.RunFor(5min);
  EXPECT_EQ(world.provider.received.size(), sent) << "nobody waits any more";
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallsTest, AnUnknownOutcomeIsRetriedAndCounted) {
  World world;
  world.provider.script.push_back({.outcome = HttpOutcome::kUnknown});
  world.provider.script.push_back({.outcome = HttpOutcome::kPartial});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.totals.attempts(), 3);
  EXPECT_EQ(outcome.totals.maybe_billed(), 2);
  EXPECT_EQ(outcome.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_UNKNOWN);
  EXPECT_EQ(outcome.attempts[1].outcome(), v1::ATTEMPT_OUTCOME_PARTIAL);
}

TEST(CallsTest, AnUnknownOutcomeFailsTheCallWhereThePolicySaysSo) {
  World world;
  world.config.mutable_models(0)->set_on_unknown(v1::ON_UNKNOWN_FAIL);
  world.provider.script.push_back({.outcome = HttpOutcome::kUnknown});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), "UNKNOWN_OUTCOME");
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CallsTest, AnAttemptThatHangsEndsByItsTimeLimit) {
  World world;
  world.config.mutable_models(0)->mutable_timeout()->mutable_total()->set_seconds(10);
  world.provider.script.push_back({.latency = 24h});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_LT(world.clock.Now().time_since_epoch(), 12s);
}

TEST(CallsTest, RepairsAnAnswerThatDoesNotFitWithTheError) {
  World world;
  world.provider.script.push_back({.body = R"({"n":"no number"})"});
  world.provider.script.push_back({.body = "Sure!\n```json\n{\"n\": 7}\n```\n"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"), WithSchema);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.text, "{\"n\": 7}");
  EXPECT_EQ(outcome.call_keys.size(), 2u);
  EXPECT_EQ(outcome.totals.calls(), 2);
  EXPECT_EQ(outcome.totals.attempts(), 2);
  EXPECT_THAT(world.provider.received[1].body, HasSubstr("no number"));
  EXPECT_THAT(world.provider.received[1].body, HasSubstr("does not fit the schema"));
  EXPECT_EQ(outcome.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_ANSWERED_BAD);
  // The question is answered now, for later runs too.
  const CallOutcome later = world.Answer("q", OfRun("r2"), WithSchema);
  EXPECT_TRUE(later.cache_hit);
  EXPECT_EQ(later.text, "{\"n\": 7}");
}

TEST(CallsTest, ABadAnswerIsNotPaidForTwiceInItsRun) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.body = "no JSON at all"}; };
  const CallOutcome first = world.Answer("q", OfRun("r"), WithSchema);
  EXPECT_EQ(ReasonOf(first.status), "NOT_JSON");
  EXPECT_EQ(first.totals.attempts(), 2);
  const CallOutcome second = world.Answer("q", OfRun("r"), WithSchema);
  EXPECT_EQ(ReasonOf(second.status), "NOT_JSON");
  EXPECT_EQ(second.totals.attempts(), 0);
  EXPECT_EQ(second.totals.cache_hits(), 2);
  EXPECT_EQ(world.provider.received.size(), 2u);
  // Another run asks for itself; and so does this one after what it was told is forgotten.
  EXPECT_EQ(world.Answer("q", OfRun("r2"), WithSchema).totals.attempts(), 2);
  WriteBatch batch;
  ForgetRunAnswers(batch, "r", second.call_keys);
  const auto forget = [](Store& store, WriteBatch batch) -> Task<void> { co_await store.Commit(std::move(batch)); };
  world.loop_->Spawn(forget(*world.store_, std::move(batch)));
  world.RunFor(1s);
  EXPECT_EQ(world.Answer("q", OfRun("r"), WithSchema).totals.attempts(), 2);
}

TEST(CallsTest, EmptyAnswersAndOnesThatAreNotOfTheProtocolAreAskedForAgain) {
  World world;
  world.provider.script.push_back({.body = " \n"});
  world.provider.script.push_back({.body = "garbage"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.totals.attempts(), 3);
  const std::set<Digest> keys(outcome.call_keys.begin(), outcome.call_keys.end());
  EXPECT_EQ(keys.size(), 3u) << "each answer is paid under a key of its own";
  EXPECT_TRUE(world.Answer("q", OfRun("r2")).cache_hit);
}

TEST(CallsTest, OwnFailuresCountAgainstTheLimitOfAttempts) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.body = "garbage"}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), "BAD_RESPONSE");
  EXPECT_EQ(outcome.totals.attempts(), 3);
  EXPECT_EQ(world.Answer("q", OfRun("r")).totals.attempts(), 0);
}

TEST(CallsTest, FiltersRefusalsAndCutAnswersFailWithTheirReason) {
  for (const auto& [finish, reason] : std::map<std::string, std::string>{
           {"length", "TRUNCATED"}, {"content_filter", "CONTENT_FILTER"}, {"refusal", "REFUSAL"}}) {
    World world;
    world.provider.usual = [&](const HttpRequest&) { return Reaction{.headers = {{"finish", finish}}}; };
    const CallOutcome outcome = world.Answer("q", OfRun("r"));
    EXPECT_EQ(ReasonOf(outcome.status), reason);
    EXPECT_EQ(outcome.totals.attempts(), 1);
  }
}

TEST(CallsTest, AnAnswerThatIsTooLargeIsFinalAndCountedAsMaybeBilled) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.outcome = HttpOutcome::kTooLarge}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), "RESPONSE_TOO_LARGE");
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_EQ(world.Answer("q", OfRun("r")).totals.attempts(), 0);
}

TEST(CallsTest, LongAnswersAreJudgedOnThePool) {
  World world;
  std::string list = "{\"n\":1,\"list\":[0";
  for (int i = 0; i < 100'000; ++i) list += ",1";
  list += "]}";
  world.provider.usual = [&](const HttpRequest&) { return Reaction{.body = list}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"), WithSchema);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.text.size(), list.size());
  EXPECT_TRUE(world.Answer("q", OfRun("r2"), WithSchema).cache_hit);
}

TEST(CallsTest, AStoppedCallEndsAtOnceAndItsAnswerIsFoundLater) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  CallContext context = OfRun("r");
  context.stop = world.NewStop();
  const auto asked = world.Ask("q", context);
  world.RunFor(1s);
  context.stop->Stop();
  world.RunFor(10ms);
  ASSERT_TRUE(asked->done);
  EXPECT_TRUE(asked->outcome.stopped);
  EXPECT_TRUE(asked->outcome.settlement.empty());
  world.RunFor(20s);
  EXPECT_EQ(world.provider.answered, 1);
  EXPECT_EQ(world.Count(Table::kPending), 1);
  // Its run goes on: the answer is there, and what it cost is counted once, now.
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "an answer");
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(outcome.totals.output_tokens(), 5);
  EXPECT_EQ(world.provider.received.size(), 1u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallsTest, NoCallStartsAfterAStop) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_max_concurrency(1);
  CallContext context = OfRun("r");
  context.stop = world.NewStop();
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 50; ++i) asked.push_back(world.Ask("q" + std::to_string(i), context));
  world.RunFor(20ms);
  context.stop->Stop();
  world.RunFor(1ms);
  for (const auto& one : asked) EXPECT_TRUE(one->done && one->outcome.stopped);
  world.RunFor(10s);
  EXPECT_EQ(world.provider.received.size(), 1u);
  EXPECT_EQ(world.calls().waiting(), 0);
  EXPECT_TRUE(world.Answer("later", context).stopped);
}

TEST(CallsTest, AWaiterThatLeavesTakesNothingFromTheOthers) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  CallContext leader = OfRun("r1");
  leader.stop = world.NewStop();
  const auto first = world.Ask("q", leader);
  const auto second = world.Ask("q", OfRun("r2"));
  world.RunFor(1s);
  leader.stop->Stop();
  world.RunUntil([&] { return second->done; });
  EXPECT_TRUE(first->outcome.stopped);
  EXPECT_EQ(second->outcome.text, "an answer");
  EXPECT_EQ(second->outcome.totals.attempts(), 1) << "it inherits what the call has cost";
  EXPECT_FALSE(second->outcome.coalesced);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CallsTest, ADeadlineDuringAnAttemptLeavesItsAnswerToBeFound) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  CallContext context = OfRun("r");
  context.deadline = TimePoint(1s);
  const CallOutcome outcome = world.Answer("q", context);
  EXPECT_EQ(ReasonOf(outcome.status), "DEADLINE");
  world.RunFor(20s);
  const CallOutcome later = world.Answer("q", OfRun("r"));
  EXPECT_EQ(later.text, "an answer");
  EXPECT_EQ(later.totals.attempts(), 1);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CallsTest, ATargetThatFailsForTooLongFailsTheCallWithItsError) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 1s, .status = 503}; };
  CallContext context = OfRun("r");
  context.max_elapsed = 10s;
  const CallOutcome outcome = world.Answer("q", context);
  EXPECT_EQ(ReasonOf(outcome.status), "TARGET_FAILED");
  EXPECT_THAT(std::string(MessageOf(outcome.status)), HasSubstr("503"));
  EXPECT_GE(world.loop_->Now(), TimePoint(10s));
  EXPECT_LT(world.loop_->Now(), TimePoint(12s));
  EXPECT_GT(outcome.totals.attempts(), 1);
}

TEST(CallsTest, TwoAliasesOfOneTargetShareItsSlotsAndItsCallsInFlight) {
  World world;
  v1::ModelConfig& second = *world.config.add_models();
  second.set_name("reader");
  *second.add_targets() = world.config.models(0).targets(0);
  v1::TargetConfig& more = *second.add_targets();
  more.set_backend("other");
  more.set_model("m2");
  const auto first = world.Ask("q", OfRun("r1"));
  const auto other = world.Ask("q", OfRun("r2"), [](CallRequest& request) { request.model_alias = "reader"; });
  world.RunUntil([&] { return first->done && other->done; });
  EXPECT_EQ(other->outcome.text, "an answer");
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CallsTest, DrainsWhatIsInFlightAndStartsNothingNew) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_max_concurrency(1);
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 5s}; };
  CallContext context = OfRun("r");
  context.stop = world.NewStop();
  const auto running = world.Ask("running", context);
  const auto waiting = world.Ask("waiting", context);
  const auto generated = world.Ask("generated");
  world.RunFor(1s);
  bool drained = false;
  const auto drain = [](Calls& calls, bool& drained) -> Task<void> {
    co_await calls.Drain(kNever);
    drained = true;
  };
  world.loop_->Spawn(drain(world.calls(), drained));
  world.RunUntil([&] { return drained; });
  EXPECT_TRUE(running->outcome.status.ok());
  EXPECT_EQ(running->outcome.text, "an answer");
  EXPECT_TRUE(waiting->outcome.stopped);
  EXPECT_EQ(ReasonOf(generated->outcome.status), "DRAINING");
  EXPECT_FALSE(generated->outcome.stopped);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CallsTest, StartsNothingWhileTheDiskIsLowAndGoesOnByItself) {
  World world;
  world.store_options.disk_reserve = 1000;
  world.Answer("before", OfRun("r"));
  world.disk.SetRoom(900);
  world.RunFor(1s);
  const auto asked = world.Ask("q", OfRun("r"));
  world.RunFor(1min);
  EXPECT_FALSE(asked->done);
  EXPECT_EQ(world.provider.received.size(), 1u);
  CallContext context;
  context.deadline = world.clock.Now() + 1s;
  EXPECT_EQ(ReasonOf(world.Answer("another", context).status), "DISK_LOW");
  world.disk.SetRoom(std::nullopt);
  EXPECT_TRUE(world.RunUntil([&] { return asked->done; }, 10s));
}

TEST(CallsTest, APaidAnswerOutlivesAStoreThatIsReopened) {
  World world;
  for (int commits = 0; commits < 4; ++commits) {
    const auto asked = world.Ask("q" + std::to_string(commits), OfRun("r"));
    world.RunFor(10ms);
    world.disk.faults.commits = 3;
    EXPECT_TRUE(world.RunUntil([&] { return asked->done; }, 1min));
    EXPECT_EQ(asked->outcome.text, "an answer");
    world.disk.faults.commits = 0;
  }
  EXPECT_EQ(world.provider.received.size(), 4u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

}  // namespace
}  // namespace millrace
