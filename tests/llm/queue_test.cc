#include "server/llm/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/llm/retry.h"
#include "server/storage/memory_store.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::ElementsAre;

class QueueTest : public testing::Test {
 protected:
  // A call of a run that notes its name when it is granted.
  Ticket& Call(std::string run, std::string name, int64_t priority = 0, std::vector<TicketTarget> targets = {}) {
    auto ticket = std::make_unique<Ticket>();
    ticket->run = std::move(run);
    ticket->priority = priority;
    ticket->age = queue_.NextAge();
    ticket->targets = targets.empty() ? std::vector<TicketTarget>{{&target_}} : std::move(targets);
    ticket->wake = [this, name, ticket = ticket.get()] {
      if (ticket->granted != nullptr) granted_.push_back(name);
    };
    tickets_.push_back(std::move(ticket));
    queue_.Enter(*tickets_.back());
    return *tickets_.back();
  }

  // Ends the attempt that was granted last.
  void Release(Target& target) {
    queue_.Free(target, {});
    queue_.End(target, {}, {});
  }

  SimulatedClock clock_;
  Loop loop_{clock_};
  MemoryDisk disk_;
  MemoryStore store_{loop_, disk_};
  Queue queue_{loop_, store_};
  BackendEntry entry_;
  Target target_{loop_, entry_, "one", {.max_concurrency = 1}};
  Target other_{loop_, entry_, "other", {.max_concurrency = 1}};
  std::vector<std::unique_ptr<Ticket>> tickets_;
  std::vector<std::string> granted_;
};

TEST_F(QueueTest, RunsTakeTurnsWithinAPriority) {
  Call("a", "a0");
  for (const char* name : {"a1", "a2", "a3"}) Call("a", name);
  for (const char* name : {"b1", "b2"}) Call("b", name);
  Call("c", "c1", 1);
  for (int i = 0; i < 6; ++i) Release(target_);
  EXPECT_THAT(granted_, ElementsAre("a0", "c1", "a1", "b1", "a2", "b2", "a3"));
  EXPECT_EQ(queue_.waiting(), 0);
}

TEST_F(QueueTest, OneCallMayWaitForSeveralTargetsAndTakesOne) {
  target_.Begin({}, TimePoint());
  other_.Begin({}, TimePoint());
  Ticket& ticket = Call("a", "a", 0, {{&target_}, {&other_}});
  EXPECT_EQ(target_.waiting(), 1);
  EXPECT_EQ(other_.waiting(), 1);
  Release(other_);
  EXPECT_EQ(ticket.granted, &other_);
  EXPECT_EQ(target_.waiting(), 0);
  Release(target_);
  EXPECT_EQ(target_.in_flight(), 0);
}

TEST_F(QueueTest, NoCallGoesToATargetThatHoldsOff) {
  queue_.End(target_, {}, {.outcome = backend::Outcome::kRateLimited, .retry_after = 10s});
  Call("a", "a");
  EXPECT_THAT(granted_, ElementsAre());
  loop_.RunUntil([&] { return !granted_.empty(); });
  EXPECT_EQ(clock_.Now(), TimePoint(10s));
}

TEST_F(QueueTest, FirstAttemptsPassRetriesThatWaitForTheirBudget) {
  for (int i = 0; i < 100; ++i) {
    target_.Begin({.tokens = 0, .is_retry = true}, TimePoint());
    target_.Free({}, TimePoint());
  }
  target_.Begin({.tokens = 0, .is_retry = true}, TimePoint());  // the one that is allowed each second
  Call("a", "retry", 0, {{&target_, true}});
  Call("a", "first");
  Release(target_);
  EXPECT_THAT(granted_, ElementsAre("first"));
  target_.Free({}, TimePoint());  // without an answer
  loop_.RunUntil([&] { return granted_.size() == 2; });
  EXPECT_EQ(clock_.Now(), TimePoint(1s));
}

TEST_F(QueueTest, ARateLetsCallsBeginEvenly) {
  Target limited(loop_, entry_, "limited", {.max_concurrency = 1000, .rpm = 60});
  for (const char* name : {"a", "b", "c"}) Call("r", name, 0, {{&limited}});
  EXPECT_THAT(granted_, ElementsAre("a"));
  EXPECT_EQ(limited.WaitsFor({}, clock_.Now()).name, "requests_per_minute");
  loop_.RunUntil([&] { return granted_.size() == 3; });
  EXPECT_EQ(clock_.Now(), TimePoint(2s));
}

TEST_F(QueueTest, ACallThatLeavesIsNotGranted) {
  Call("a", "a0");
  Ticket& leaver = Call("a", "a1");
  Call("a", "a2");
  queue_.Leave(leaver);
  Release(target_);
  EXPECT_THAT(granted_, ElementsAre("a0", "a2"));
}

TEST_F(QueueTest, AClosedQueueGrantsNothing) {
  queue_.Close();
  Call("a", "a");
  EXPECT_THAT(granted_, ElementsAre());
}

TEST_F(QueueTest, ACallKnowsItsPlace) {
  Call("a", "a0");
  for (const char* name : {"a1", "a2", "a3"}) Call("a", name);
  for (const char* name : {"b1", "b2"}) Call("b", name);
  Call("c", "c1", 1);
  EXPECT_EQ(queue_.FindWait("c").place, 1) << "its priority is higher";
  EXPECT_EQ(queue_.FindWait("a").place, 2);
  EXPECT_EQ(queue_.FindWait("b").place, 3);
  EXPECT_EQ(queue_.FindWait("d").target, nullptr);
  for (const char* next : {"c1", "a1", "b1", "a2", "b2", "a3"}) {
    const Queue::Wait wait = queue_.FindWait(std::string(1, next[0]));
    ASSERT_EQ(wait.target, &target_);
    EXPECT_EQ(wait.place, 1) << next;
    Release(target_);
    EXPECT_EQ(granted_.back(), next);
  }
}

TEST_F(QueueTest, TheWaitOfACallIsAtTheTargetWithItsBestPlace) {
  target_.Begin({}, TimePoint());
  other_.Begin({}, TimePoint());
  Call("b", "b", 1);
  Ticket& ticket = Call("a", "a", 0, {{&target_}, {&other_}});
  EXPECT_EQ(queue_.FindWait("a").target, &other_);
  EXPECT_EQ(queue_.FindWait("a").place, 1);
  EXPECT_EQ(queue_.FindWait("a").since, ticket.since);
}

TEST_F(QueueTest, ALimitIsDescribedForPeople) {
  Call("a", "a");
  EXPECT_EQ(target_.TextOf(target_.WaitsFor({}, clock_.Now()), clock_.Now()), "slot: 1 of 1 in use");
  queue_.End(other_, {}, {.outcome = backend::Outcome::kRateLimited, .retry_after = 90s});
  EXPECT_EQ(other_.TextOf(other_.WaitsFor({}, clock_.Now()), clock_.Now()), "retry_after: next in 90 s");
}

TEST_F(QueueTest, CallsLeaveATargetThatBecomesSuspectedToHang) {
  std::vector<std::string> woken;
  Call("a", "hangs");
  Ticket& waiting = Call("a", "waits");
  waiting.wake = [&] { woken.push_back("waits"); };
  loop_.RunUntil([&] { return !woken.empty(); });
  EXPECT_EQ(clock_.Now(), TimePoint(30s)) << "it never answered, so that its usual time is not known";
  EXPECT_EQ(target_.UnavailableUntil(clock_.Now()), kNever) << "it has no slot for a probe";
  target_.Heard(clock_.Now());
  EXPECT_LE(target_.UnavailableUntil(clock_.Now()), clock_.Now());
}

TEST_F(QueueTest, TheWaitAtATargetThatChangedBeforeItsFirstCallIsSeen) {
  target_.preparation().Hold("warm_up", Preparation::Others::kWait);
  queue_.NoteChange(target_);
  Call("a", "a");
  EXPECT_EQ(queue_.FindWait("a").target, &target_);
}

TEST_F(QueueTest, CallsOfATargetThatChangedBeforeItsFirstCallAreGrantedWhenTheStoreIsBack) {
  queue_.Reconsider(target_);
  disk_.faults.commits = 1;
  WriteBatch batch;
  batch.Put("k", "v");
  const auto commit = [](Store& store, WriteBatch batch) -> Task<void> { co_await store.Commit(std::move(batch)); };
  loop_.Spawn(commit(store_, std::move(batch)));
  loop_.RunUntil([&] { return store_.state() != StoreState::kOk; });
  Call("a", "a");
  EXPECT_THAT(granted_, ElementsAre());
  loop_.RunUntil([&] { return !granted_.empty(); }, TimePoint(1min));
  EXPECT_THAT(granted_, ElementsAre("a"));
}

TEST_F(QueueTest, ACallThatSkippedATargetIsWokenWhenItIsAvailableOrWillBe) {
  for (int i = 0; i < 20; ++i) {
    queue_.End(target_, {}, {.outcome = backend::Outcome::kServerError});
  }
  const TimePoint probe_at = target_.UnavailableUntil(clock_.Now());
  clock_.AdvanceTo(probe_at);
  const Admitted probe = target_.Begin({}, clock_.Now());
  EXPECT_EQ(target_.UnavailableUntil(clock_.Now()), kNever);
  other_.Begin({}, clock_.Now());

  int woken = 0;
  Ticket ticket;
  ticket.targets = {{&other_}};
  ticket.skipped = {{&target_}};
  ticket.wake = [&woken] { ++woken; };
  queue_.Enter(ticket);
  EXPECT_EQ(target_.waiting(), 0);
  queue_.NoteChange(target_);
  EXPECT_EQ(woken, 0) << "it is as unavailable as before";
  queue_.Free(target_, probe);
  queue_.End(target_, probe, {.outcome = backend::Outcome::kServerError});
  EXPECT_EQ(woken, 1) << "its next probe has a time, which the call did not know";
  queue_.Reconsider(target_);
  EXPECT_EQ(woken, 2);
  queue_.Leave(ticket);
  queue_.End(target_, {}, {.outcome = backend::Outcome::kAnswered});
  EXPECT_EQ(woken, 2) << "it has left";
}

TEST_F(QueueTest, ACallThatSkippedATargetThatSeemedToHangIsWokenByItsFirstByte) {
  Call("a", "hangs");
  Call("a", "waits");
  ASSERT_TRUE(loop_.RunUntil([&] { return target_.IsSuspected(clock_.Now()); }, TimePoint(1min)));
  other_.Begin({}, clock_.Now());
  int woken = 0;
  Ticket ticket;
  ticket.targets = {{&other_}};
  ticket.skipped = {{&target_}};
  ticket.wake = [&woken] { ++woken; };
  queue_.Enter(ticket);
  queue_.Heard(target_);
  EXPECT_EQ(woken, 1);
  queue_.Leave(ticket);
}

TEST_F(QueueTest, AbsurdTokensHoldATargetBackForNoLongerThanItsCallCanHaveTaken) {
  Target limited(loop_, entry_, "limited", {.max_concurrency = 1, .tpm = 60'000});  // 1,000 a second
  const Admitted attempt = limited.Begin({.tokens = 1000}, TimePoint());
  limited.Free(attempt, TimePoint());
  limited.End(attempt, {.tokens = 1'000'000'000'000}, TimePoint());
  EXPECT_LE(limited.NotBefore({.tokens = 1000}, TimePoint()), TimePoint(5s));
  const Admitted second = limited.Begin({.tokens = 1000}, TimePoint(60s));
  EXPECT_EQ(second.estimate.tokens, 1000) << "the forecast has learned nothing from it";
}

TEST_F(QueueTest, AHumanEndsThePauseThatAProviderAskedFor) {
  queue_.End(target_, {}, {.outcome = backend::Outcome::kRateLimited, .retry_after = 1h});
  Call("a", "a");
  EXPECT_THAT(granted_, ElementsAre());
  queue_.Reconsider(target_);
  EXPECT_THAT(granted_, ElementsAre("a"));
}

// Ends an attempt with a failure or an answer.
void End(Target& target, backend::Outcome outcome, TimePoint now, int32_t in_flight = 1) {
  target.End({.estimate = {}, .began = now, .in_flight = in_flight}, {.outcome = outcome}, now);
}

class RetryDelayTest : public QueueTest {
 protected:
  // Asserts that delays are uniform between nothing and `bound`.
  void ExpectBound(TimePoint now, Duration bound) {
    Duration sum{};
    for (int i = 0; i < 2000; ++i) {
      const Duration delay = target_.RetryDelay(policy_, now, random_);
      ASSERT_GE(delay, Duration(0));
      ASSERT_LT(delay, bound);
      sum += delay;
    }
    EXPECT_NEAR(static_cast<double>((sum / 2000).count()), static_cast<double>(bound.count()) / 2,
                static_cast<double>(bound.count()) * 0.03);
  }

  const RetryPolicy policy_{.max_attempts = 3, .initial_backoff = 100ms, .max_backoff = 1s, .max_extra = {}};
  Random random_{1};
};

TEST_F(RetryDelayTest, IsBriefWhileTheTargetAnswersOthers) {
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = TimePoint(1s * i);
    End(target_, i % 3 == 0 ? backend::Outcome::kAnswered : backend::Outcome::kServerError, now);
    ExpectBound(now, 10ms);
  }
}

TEST_F(RetryDelayTest, GrowsWithTheTimeForWhichTheTargetFails) {
  for (int i = 0; i < 4; ++i) End(target_, backend::Outcome::kServerError, TimePoint(1s));
  ExpectBound(TimePoint(5s), 10ms);  // four failures may be bad luck
  End(target_, backend::Outcome::kServerError, TimePoint(1s));
  ExpectBound(TimePoint(1s), 100ms);
  ExpectBound(TimePoint(1s) + 400ms, 400ms);
  ExpectBound(TimePoint(60s), 1s);
  End(target_, backend::Outcome::kAnswered, TimePoint(61s));
  ExpectBound(TimePoint(61s), 10ms);
}

TEST_F(RetryDelayTest, FailuresOfAttemptsThatWereInFlightTogetherAreOne) {
  for (int i = 0; i < 50; ++i) End(target_, backend::Outcome::kUnknown, TimePoint(1s), 50);
  ExpectBound(TimePoint(1s), 10ms);
  End(target_, backend::Outcome::kUnknown, TimePoint(1s), 50);
  ExpectBound(TimePoint(1s), 100ms);
}

TEST_F(RetryDelayTest, BoundsInTheWrongOrderAreHarmless) {
  const RetryPolicy wrong{.max_attempts = 3, .initial_backoff = 60s, .max_backoff = 1s, .max_extra = {}};
  for (int i = 0; i < 5; ++i) End(target_, backend::Outcome::kServerError, TimePoint(1s));
  EXPECT_LT(target_.RetryDelay(wrong, TimePoint(2s), random_), 1s);
}

}  // namespace
}  // namespace millrace
