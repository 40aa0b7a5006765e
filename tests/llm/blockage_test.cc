// Calls whose targets answer nothing before a human repairs them.
#include "server/llm/blockage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

Reaction RefusesTheKey() { return {.status = 401, .body = ""}; }

void AddSecondTarget(World& world) {
  v1::TargetConfig& second = *world.config.mutable_models(0)->add_targets();
  second.set_backend("other");
  second.set_model("m2");
  second.set_priority(2);
}

TEST(BlockageTest, ACallOfARunStopsIfOnlyAHumanCanRepairItsTarget) {
  struct Row {
    Reaction reaction;
    Reason reason;
    std::string advice;
  };
  Reaction no_host{.outcome = HttpOutcome::kNotSent};
  no_host.no_such_host = true;
  for (const Row& row : std::vector<Row>{
           {RefusesTheKey(), Reason::kProviderCredentials, "set `api_key` of backend `plain`"},
           {{.status = 402, .body = ""}, Reason::kProviderQuota, "the provider's account of backend `plain`"},
           {{.status = 404, .body = ""}, Reason::kProviderModel, "add the model `m` there"},
           {no_host, Reason::kProviderHost, "correct the host name in the URL of backend `plain`"}}) {
    World world;
    world.provider.usual = [&row](const HttpRequest&) { return row.reaction; };
    const CallOutcome outcome = world.Answer("q", OfRun("r"));
    EXPECT_TRUE(outcome.stopped) << "the item stays open";
    EXPECT_EQ(ReasonOf(outcome.status), row.reason);
    ASSERT_THAT(outcome.blockages, SizeIs(1));
    EXPECT_EQ(outcome.blockages[0].target, "plain/m");
    EXPECT_EQ(outcome.blockages[0].reason, row.reason);
    EXPECT_THAT(outcome.blockages[0].advice, HasSubstr(row.advice));
    EXPECT_EQ(world.provider.received.size() + static_cast<size_t>(world.provider.not_reached), 3u)
        << "one refusal alone shows nothing";
    EXPECT_LT(world.clock.Now().time_since_epoch(), 30s);
  }
}

TEST(BlockageTest, ARefusedConnectionIsRetried) {
  World world;
  for (int i = 0; i < 5; ++i) world.provider.script.push_back({.outcome = HttpOutcome::kNotSent});
  EXPECT_TRUE(world.Answer("q", OfRun("r")).status.ok());
}

TEST(BlockageTest, AGenerateFailsAtOnce) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return RefusesTheKey(); };
  const CallOutcome outcome = world.Answer("q");
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kProviderCredentials);
  EXPECT_FALSE(outcome.stopped);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(BlockageTest, AGenerateAndARunThatShareACallBothEnd) {
  for (const bool run_is_first : {false, true}) {
    World world;
    world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 1s, .status = 401}; };
    std::shared_ptr<World::Asked> generate;
    if (!run_is_first) generate = world.Ask("q");
    const auto run = world.Ask("q", OfRun("r"));
    if (run_is_first) generate = world.Ask("q");
    world.RunUntil([&] { return generate->done && run->done; }, 1min);
    ASSERT_TRUE(generate->done && run->done);
    EXPECT_EQ(ReasonOf(generate->outcome.status), Reason::kProviderCredentials);
    EXPECT_FALSE(generate->outcome.stopped);
    EXPECT_TRUE(run->outcome.stopped);
  }
}

TEST(BlockageTest, EachRunThatSharesACallStops) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return RefusesTheKey(); };
  const auto one = world.Ask("q", OfRun("r1"));
  const auto other = world.Ask("q", OfRun("r2"));
  world.RunUntil([&] { return one->done && other->done; }, 1min);
  EXPECT_THAT(one->outcome.blockages, SizeIs(1));
  EXPECT_THAT(other->outcome.blockages, SizeIs(1));
}

TEST(BlockageTest, OtherTargetsAreAskedFirst) {
  World world;
  AddSecondTarget(world);
  world.provider.usual = [](const HttpRequest& request) {
    return request.url == "http://provider/m" ? RefusesTheKey() : Reaction();
  };
  for (int i = 0; i < 10; ++i) {
    const CallOutcome outcome = world.Answer("q" + std::to_string(i), OfRun("r"));
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.model, "m2");
  }
}

TEST(BlockageTest, ItNamesEachTargetThatIsLeft) {
  World world;
  AddSecondTarget(world);
  world.provider.usual = [](const HttpRequest& request) {
    return request.url == "http://provider/m" ? RefusesTheKey() : Reaction{.status = 404, .body = ""};
  };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  ASSERT_THAT(outcome.blockages, SizeIs(2));
  EXPECT_EQ(outcome.blockages[0].reason, Reason::kProviderCredentials);
  EXPECT_EQ(outcome.blockages[1].reason, Reason::kProviderModel);
}

TEST(BlockageTest, ATargetThatFailsOtherwiseKeepsTheCallWaiting) {
  World world;
  AddSecondTarget(world);
  world.provider.usual = [](const HttpRequest& request) {
    return request.url == "http://provider/m" ? RefusesTheKey() : Reaction{.status = 503, .body = ""};
  };
  const auto asked = world.Ask("q", OfRun("r"));
  world.RunFor(10min);
  EXPECT_FALSE(asked->done);
  world.provider.usual = [](const HttpRequest&) { return Reaction(); };
  world.RunUntil([&] { return asked->done; });
  EXPECT_TRUE(asked->outcome.status.ok());
}

TEST(BlockageTest, ACallThatIsRefusedWhileOthersAreAnsweredFailsAlone) {
  World world;
  world.provider.usual = [](const HttpRequest& request) {
    return request.body.find("a secret word") != std::string::npos ? RefusesTheKey() : Reaction();
  };
  const auto bad = world.Ask("a secret word", OfRun("r"));
  for (int i = 0; i < 1000 && !bad->done; ++i) {
    EXPECT_TRUE(world.Answer("q" + std::to_string(i), OfRun("r")).status.ok());
    world.RunFor(1s);
  }
  ASSERT_TRUE(bad->done);
  EXPECT_EQ(ReasonOf(bad->outcome.status), Reason::kProviderCredentials);
  EXPECT_FALSE(bad->outcome.stopped);
}

TEST(BlockageTest, AfterARepairNothingIsPaidTwice) {
  World world;
  for (int i = 0; i < 3; ++i) world.provider.script.push_back(RefusesTheKey());
  EXPECT_TRUE(world.Answer("q", OfRun("r")).stopped);
  world.calls().Reconsider("writer");
  const TimePoint before = world.clock.Now();
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_LT(world.clock.Now() - before, 1s);
  EXPECT_EQ(world.provider.answered, 4) << "three refusals and an answer";
  EXPECT_EQ(world.Count(Table::kPending), 0);
  EXPECT_TRUE(world.Answer("q", OfRun("r2")).cache_hit);
}

TEST(BlockageTest, OneAttemptShowsThatATargetIsStillNotRepaired) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return RefusesTheKey(); };
  std::vector<std::shared_ptr<World::Asked>> asked;
  for (int i = 0; i < 100; ++i) asked.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  world.RunFor(10min);
  for (const auto& one : asked) EXPECT_TRUE(one->done && one->outcome.stopped);
  const size_t before = world.provider.received.size();
  EXPECT_LE(before, 150u);
  world.calls().Reconsider("writer");
  EXPECT_TRUE(world.Answer("q", OfRun("r")).stopped);
  EXPECT_EQ(world.provider.received.size(), before + 1);
}

TEST(BlockageTest, ARefusalWithARetryAfterPausesTheRunAllTheSame) {
  World world;
  world.provider.usual = [](const HttpRequest&) {
    return Reaction{.status = 402, .body = "", .headers = {{"Retry-After", "3600"}}};
  };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_THAT(outcome.blockages, SizeIs(1));
  EXPECT_LT(world.clock.Now().time_since_epoch(), 30s);
}

}  // namespace
}  // namespace millrace
