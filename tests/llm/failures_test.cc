// What becomes of a call when a target or an answer fails.
#include "server/llm/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "server/llm/progress.h"
#include "server/storage/answers.h"
#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(CallFailuresTest, ATargetsFailuresNeverFailACallByCount) {
  World world;
  for (int i = 0; i < 40; ++i) world.provider.script.push_back({.latency = 5ms, .status = 503, .body = ""});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.totals.attempts(), 41);
  EXPECT_EQ(outcome.totals.maybe_billed(), 0);
  EXPECT_EQ(outcome.totals.unpriced_attempts(), 1);
  EXPECT_EQ(outcome.attempts.back().number(), 41);
  EXPECT_EQ(world.Settled().size(), 41u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallFailuresTest, ATargetThatFailsIsProbedOncePerCooldown) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 0ms, .status = 503}; };
  for (int i = 0; i < 500; ++i) world.Ask("q" + std::to_string(i), OfRun("r"));
  world.RunFor(60s);
  // 20 attempts open the breaker, beside those in flight with them; then one goes every 5 s.
  const size_t failed = world.provider.received.size();
  EXPECT_LE(failed, 20u + 8u + 12u);
  world.provider.usual = [](const HttpRequest&) { return Reaction(); };
  world.RunFor(10s);
  EXPECT_GE(world.provider.received.size(), failed + 450u) << "those that had not failed are asked at once";
  world.RunFor(30s);
  EXPECT_EQ(world.calls().waiting(), 0);
}

TEST(CallFailuresTest, UnknownOutcomesOfOneCallAreBounded) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 5ms, .outcome = HttpOutcome::kPartial}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kUnknownOutcome);
  EXPECT_THAT(outcome.status.ToString(), HasSubstr("`max_extra` allows no more"));
  EXPECT_EQ(world.provider.received.size(), 4u) << "the first, and three more";
  EXPECT_EQ(outcome.totals.maybe_billed(), 4);
}

TEST(CallFailuresTest, EveryCallToATargetObeysItsRetryAfter) {
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

TEST(CallFailuresTest, AsksTheNextTargetWhileTheFirstFails) {
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
  EXPECT_EQ(world.calls().FindFailing("r").name, "");
}

TEST(CallFailuresTest, LowerPriorityTargetsAreNotForOverflow) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(1);
  v1::TargetConfig& second = *world.config.mutable_models(0)->add_targets();
  second.set_backend("other");
  second.set_model("m2");
  second.set_priority(2);
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  world.RunFor(10s);
  for (const auto& one : asked) EXPECT_EQ(one->outcome.model, "m");
}

TEST(CallFailuresTest, ARefusedRequestIsFinalForItsTarget) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.status = 400, .body = ""}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kRequestRefused);
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(world.Count(Table::kPending), 0);
  ASSERT_EQ(outcome.attempts.size(), 1u);
  EXPECT_EQ(outcome.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_REJECTED);
}

TEST(CallFailuresTest, TheDeadlineEndsACallWithWhatKeptItFromSucceeding) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.status = 500, .body = ""}; };
  CallContext context = OfRun("r");
  context.deadline = TimePoint(1min);
  const CallOutcome outcome = world.Answer("q", context);
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kTargetFailed);
  EXPECT_EQ(world.clock.Now(), TimePoint(1min) + (world.clock.Now() - TimePoint(1min)));
  EXPECT_LT(world.clock.Now(), TimePoint(1min) + 100ms);
  EXPECT_GT(outcome.totals.attempts(), 2);
  const size_t sent = world.provider.received.size();
  world.RunFor(5min);
  EXPECT_EQ(world.provider.received.size(), sent) << "nobody waits any more";
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallFailuresTest, AnUnknownOutcomeIsRetriedAndCounted) {
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

TEST(CallFailuresTest, AnUnknownOutcomeFailsTheCallWhereThePolicySaysSo) {
  World world;
  world.config.mutable_models(0)->set_on_unknown(v1::ON_UNKNOWN_FAIL);
  world.provider.script.push_back({.outcome = HttpOutcome::kUnknown});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kUnknownOutcome);
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(CallFailuresTest, AnAttemptThatHangsEndsByItsTimeLimit) {
  World world;
  world.config.mutable_models(0)->mutable_timeout()->mutable_total()->set_seconds(10);
  world.provider.script.push_back({.latency = 24h});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_LT(world.clock.Now().time_since_epoch(), 12s);
}

TEST(CallFailuresTest, RepairsAnAnswerThatDoesNotFitWithTheError) {
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

void WithPlace(CallRequest& request) {
  request.question.output_schema =
      R"({"type":"object","properties":{"name":{"type":"string"},"year":{"type":"integer"}},"required":["name","year"]})";
}

TEST(CallFailuresTest, ARepairAsksOnlyForTheFieldsThatDoNotFit) {
  World world;
  world.provider.script.push_back({.body = R"({"name":"Ulm","year":"long ago"})"});
  world.provider.script.push_back({.body = R"({"year":854})"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"), WithPlace);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.text, R"({"name":"Ulm","year":854})");
  EXPECT_THAT(world.provider.received[1].body, HasSubstr("only these fields"));
  EXPECT_THAT(world.provider.received[1].body, HasSubstr("- `year`: "));
  EXPECT_THAT(world.provider.received[1].body, Not(HasSubstr("- `name`")));
  const CallOutcome later = world.Answer("q", OfRun("r2"), WithPlace);
  EXPECT_TRUE(later.cache_hit);
  EXPECT_EQ(later.text, outcome.text);
}

TEST(CallFailuresTest, ARepairOfFieldsMayBeAnsweredWhole) {
  World world;
  world.provider.script.push_back({.body = R"({"name":"Ulm"})"});
  world.provider.script.push_back({.body = R"({"name": "Ulm an der Donau", "year": 854})"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"), WithPlace);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.text, R"({"name": "Ulm an der Donau", "year": 854})");
}

TEST(CallFailuresTest, FieldsOfARepairKeepTheOtherFieldsAlsoIfTheseAreOptional) {
  World world;
  const auto with_score = [](CallRequest& request) {
    request.question.output_schema = R"({"type":"object","required":["score"],"properties":{"title":{"type":"string"},)"
                                     R"("tags":{"type":"array"},"score":{"type":"integer"}}})";
  };
  world.provider.script.push_back({.body = R"({"title":"Flood","tags":["river","valley"],"score":"high"})"});
  world.provider.script.push_back({.body = R"({"score": 5})"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"), with_score);
  EXPECT_EQ(outcome.text, R"({"title":"Flood","tags":["river","valley"],"score":5})");
  EXPECT_EQ(world.Answer("q", OfRun("r2"), with_score).text, outcome.text);
}

TEST(CallFailuresTest, ASecondRepairAsksForEverything) {
  World world;
  world.provider.script.push_back({.body = R"({"name":"Ulm"})"});
  world.provider.script.push_back({.body = R"({"year":"long ago"})"});
  world.provider.script.push_back({.body = R"({"name":"Ulm","year":854})"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"), [](CallRequest& request) {
    WithPlace(request);
    request.repairs = 2;
  });
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.text, R"({"name":"Ulm","year":854})");
  EXPECT_THAT(world.provider.received[2].body, HasSubstr("Answer the question again"));
}

TEST(CallFailuresTest, ABadAnswerIsNotPaidForTwiceInItsRun) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.body = "no JSON at all"}; };
  const CallOutcome first = world.Answer("q", OfRun("r"), WithSchema);
  EXPECT_EQ(ReasonOf(first.status), Reason::kNotJson);
  EXPECT_EQ(first.totals.attempts(), 2);
  const CallOutcome second = world.Answer("q", OfRun("r"), WithSchema);
  EXPECT_EQ(ReasonOf(second.status), Reason::kNotJson);
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

TEST(CallFailuresTest, EmptyAnswersAndOnesThatAreNotOfTheProtocolAreAskedForAgain) {
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

TEST(CallFailuresTest, OwnFailuresCountAgainstTheLimitOfAttempts) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.body = "garbage"}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kBadResponse);
  EXPECT_EQ(outcome.status.message(), "the provider's answer can't be used: status 200") << "it says what is wrong";
  EXPECT_EQ(outcome.totals.attempts(), 5);
  EXPECT_EQ(world.Answer("q", OfRun("r")).totals.attempts(), 0);
}

TEST(CallFailuresTest, FiltersRefusalsAndCutAnswersFailWithTheirReason) {
  for (const auto& [finish, reason] : std::map<std::string, Reason>{
           {"length", Reason::kTruncated}, {"content_filter", Reason::kContentFilter}, {"refusal", Reason::kRefusal}}) {
    World world;
    world.provider.usual = [&](const HttpRequest&) { return Reaction{.headers = {{"finish", finish}}}; };
    const CallOutcome outcome = world.Answer("q", OfRun("r"));
    EXPECT_EQ(ReasonOf(outcome.status), reason);
    EXPECT_EQ(outcome.totals.attempts(), 1);
  }
}

TEST(CallFailuresTest, AnAnswerThatIsTooLargeIsFinalAndCountedAsMaybeBilled) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.outcome = HttpOutcome::kTooLarge}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kResponseTooLarge);
  EXPECT_EQ(outcome.totals.maybe_billed(), 1);
  EXPECT_EQ(world.Answer("q", OfRun("r")).totals.attempts(), 0);
}

TEST(CallFailuresTest, ABadAnswersBytesAreInTheStoreAndNotInMemory) {
  const Digest key = Digest::Of("q");
  storage::v1::PendingRecord record;
  record.mutable_attempt()->set_id("a");
  record.mutable_attempt()->set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);
  record.set_run("r");
  record.set_raw(std::string(1u << 20, 'x'));
  CallProgress progress;
  progress.AddUnsettled(key, record);
  EXPECT_FALSE(progress.KeepPending().empty());
  progress.MarkBad(key, "not JSON");
  EXPECT_LT(progress.FindUnsettled("a")->SpaceUsedLong(), 4096u);
  EXPECT_EQ(progress.FindUnsettled("a")->attempt().outcome(), v1::ATTEMPT_OUTCOME_ANSWERED_BAD);
  EXPECT_TRUE(progress.KeepPending().empty()) << "the record in the store has the bytes";
}

TEST(CallFailuresTest, ACallThatEverybodyLeavesAfterABadAnswerPaysForItOnce) {
  World world;
  world.provider.script.push_back({.body = "garbage"});
  world.provider.script.push_back({.latency = 10s});
  CallContext context = OfRun("r");
  context.stop = world.NewStop();
  world.Ask("q", context);
  world.RunFor(2s);
  context.stop->Stop();
  world.RunFor(1min);
  EXPECT_EQ(world.Count(Table::kPending), 2);
  world.Restart();
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "an answer");
  EXPECT_EQ(outcome.totals.attempts(), 2);
  EXPECT_EQ(outcome.totals.output_tokens(), 5);
  EXPECT_EQ(world.provider.received.size(), 2u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST(CallFailuresTest, LongAnswersAreJudgedOnThePool) {
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

TEST(CallFailuresTest, CallsGoBackToATargetWhenItsProbeIsAnswered) {
  World world;
  v1::ModelConfig& model = *world.config.mutable_models(0);
  model.mutable_breaker()->mutable_cooldown()->set_seconds(1);
  model.mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(32);
  v1::TargetConfig& slow = *model.add_targets();
  slow.set_backend("other");
  slow.set_model("slow");
  slow.set_priority(1);
  slow.mutable_limits()->mutable_max_concurrency()->set_slots(1);
  // The first target is sick for a second, and takes two for its first good answer: while that one is in flight, nobody
  // knows when the target is available again.
  bool is_probed = false;
  world.provider.usual = [&](const HttpRequest& request) {
    if (request.url.ends_with("/slow")) return Reaction{.latency = 3s};
    if (world.clock.Now() < TimePoint(1s)) return Reaction{.latency = 10ms, .status = 500, .body = ""};
    return Reaction{.latency = std::exchange(is_probed, true) ? 10ms : 2000ms};
  };
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 40; ++i) asked.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  const auto all_done = [&] {
    return std::all_of(asked.begin(), asked.end(), [](const auto& one) { return one->done; });
  };
  EXPECT_TRUE(world.RunUntil(all_done, 15s)) << "one after the other at the slow target they take 2 minutes";
}

}  // namespace
}  // namespace millrace
