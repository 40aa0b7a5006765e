// What becomes of a call when its waiters leave, the server drains, or the store can take nothing.
#include "server/llm/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(LeavingCallsTest, AStoppedCallEndsAtOnceAndItsAnswerIsFoundLater) {
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
  EXPECT_TRUE(asked->outcome.settlement.batch.empty());
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

TEST(LeavingCallsTest, NoCallStartsAfterAStop) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(1);
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

TEST(LeavingCallsTest, AWaiterThatLeavesTakesNothingFromTheOthers) {
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
  EXPECT_EQ(second->outcome.totals.attempts(), 0) << "another run began it";
  EXPECT_FALSE(second->outcome.coalesced);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(LeavingCallsTest, ADeadlineDuringAnAttemptLeavesItsAnswerToBeFound) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 10s}; };
  CallContext context = OfRun("r");
  context.deadline = TimePoint(1s);
  const CallOutcome outcome = world.Answer("q", context);
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kDeadline);
  world.RunFor(20s);
  const CallOutcome later = world.Answer("q", OfRun("r"));
  EXPECT_EQ(later.text, "an answer");
  EXPECT_EQ(later.totals.attempts(), 1);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(LeavingCallsTest, ADeadlineAtAnyMomentLosesNoLongAnswer) {
  const std::string text(100 << 10, 'a');  // encoded, parsed and judged on the pool
  for (Duration deadline = 250ms; deadline < 12s; deadline += 250ms) {
    World world;
    world.pool_cost = 2s;
    world.provider.usual = [&text](const HttpRequest&) { return Reaction{.latency = 1s, .body = text}; };
    CallContext context = OfRun("r");
    context.deadline = TimePoint(deadline);
    const CallOutcome first = world.Answer("q", context);
    world.RunFor(1min);
    const CallOutcome second = world.Answer("q", OfRun("r", "another"));
    EXPECT_EQ(second.text, text);
    EXPECT_EQ(world.provider.received.size(), 1u) << "a deadline after " << deadline.count() / 1'000'000 << " ms";
    EXPECT_EQ(first.totals.attempts() + second.totals.attempts(), 1);
    EXPECT_EQ(world.Count(Table::kPending), 0);
  }
}

TEST(LeavingCallsTest, ADeadlineAtAnyMomentLosesNoLongAnswerThatIsTakenOver) {
  const std::string text(100 << 10, 'a');
  for (Duration deadline = 250ms; deadline < 12s; deadline += 250ms) {
    World world;
    world.pool_cost = 2s;
    world.provider.usual = [&text](const HttpRequest&) { return Reaction{.latency = 1s, .body = text}; };
    CallContext stopped = OfRun("r");
    stopped.stop = world.NewStop();
    world.Ask("q", stopped);
    world.RunFor(500ms);
    stopped.stop->Stop();
    world.RunFor(1min);
    ASSERT_EQ(world.Count(Table::kPending), 1);
    CallContext late = OfRun("r");
    late.deadline = world.clock.Now() + deadline;
    world.Answer("q", late);
    world.RunFor(1min);
    EXPECT_EQ(world.Answer("q", OfRun("r", "another")).text, text);
    EXPECT_EQ(world.provider.received.size(), 1u) << "a deadline after " << deadline.count() / 1'000'000 << " ms";
    EXPECT_EQ(world.Count(Table::kPending), 0);
  }
}

TEST(LeavingCallsTest, ATargetThatFailsForTooLongFailsTheCallWithItsError) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 1s, .status = 503}; };
  CallContext context = OfRun("r");
  context.max_elapsed = 10s;
  const CallOutcome outcome = world.Answer("q", context);
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kTargetFailed);
  EXPECT_THAT(std::string(MessageOf(outcome.status)), HasSubstr("503"));
  EXPECT_GE(world.loop_->Now(), TimePoint(10s));
  EXPECT_LT(world.loop_->Now(), TimePoint(12s));
  EXPECT_GT(outcome.totals.attempts(), 1);
}

TEST(LeavingCallsTest, TwoAliasesOfOneTargetShareItsSlotsAndItsCallsInFlight) {
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

TEST(LeavingCallsTest, DrainsWhatIsInFlightAndStartsNothingNew) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(1);
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
  EXPECT_EQ(ReasonOf(generated->outcome.status), Reason::kDraining);
  EXPECT_FALSE(generated->outcome.stopped);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST(LeavingCallsTest, ADrainWaitsLongerForAnswersThatTheStoreDoesNotTake) {
  const auto drain = [](World& world, TimePoint deadline, std::optional<TimePoint>& drained) -> Task<void> {
    co_await world.calls().Drain(deadline);
    drained = world.loop_->Now();
  };
  for (const bool comes_back : {true, false}) {
    World world;
    world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 5s}; };
    CallContext context = OfRun("r");
    context.stop = world.NewStop();
    const auto asked = world.Ask("q", context);
    world.RunFor(1s);
    world.disk.faults.commits = 1'000'000;  // from the answer on
    std::optional<TimePoint> drained;
    world.loop_->Spawn(drain(world, world.loop_->Now() + 10s, drained));
    world.RunFor(20s);
    EXPECT_FALSE(drained);
    EXPECT_EQ(world.calls().FindUnfinished().answers, 1);
    EXPECT_EQ(world.calls().FindUnfinished().calls, 0);
    if (comes_back) world.disk.faults.commits = 0;
    EXPECT_TRUE(world.RunUntil([&] { return drained.has_value(); }, 1min));
    EXPECT_EQ(world.calls().FindUnfinished().answers, comes_back ? 0 : 1);
    if (!comes_back) {
      EXPECT_EQ(*drained, TimePoint(1s + 10s + kStorePatience));
    }
  }
}

TEST(LeavingCallsTest, StartsNothingWhileTheDiskIsLowAndGoesOnByItself) {
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
  EXPECT_EQ(ReasonOf(world.Answer("another", context).status), Reason::kDiskLow);
  world.disk.SetRoom(std::nullopt);
  EXPECT_TRUE(world.RunUntil([&] { return asked->done; }, 10s));
}

TEST(LeavingCallsTest, APaidAnswerOutlivesAStoreThatIsReopened) {
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

TEST(LeavingCallsTest, AnAttemptThatIsGivenUpIsNotTheTargetsFault) {
  World world;
  world.store_options.sync_cost = 100ms;
  world.provider.script.push_back({.latency = 1ms, .status = 500, .body = ""});
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 20s}; };
  world.Ask("fails", OfRun("r"));
  ASSERT_TRUE(world.RunUntil([&] { return world.provider.received.size() == 2; }, 1min));
  const auto error = [&] { return world.calls().Models().models(0).targets(0).error(); };
  EXPECT_EQ(error(), "status 500");
  CallContext context = OfRun("s");
  context.stop = world.NewStop();
  const auto paused = world.Ask("paused", context);
  ASSERT_TRUE(world.RunUntil([&] { return world.calls().in_flight() == 2; }, 1min)) << "its start is being stored";
  context.stop->Stop();
  world.RunFor(1s);
  EXPECT_TRUE(paused->outcome.stopped);
  EXPECT_EQ(error(), "status 500");
}

}  // namespace
}  // namespace millrace
