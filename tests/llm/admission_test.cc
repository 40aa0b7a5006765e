// Limits of a target against servers in virtual time: one that queues, one that rejects, one that fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "server/llm/admission/auto_slots.h"
#include "server/llm/admission/breaker.h"
#include "server/llm/admission/hold_off.h"
#include "server/llm/admission/rate.h"
#include "server/llm/admission/retry_budget.h"
#include "server/llm/admission/silence.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using backend::Outcome;

TimePoint At(Duration time) { return TimePoint(time); }

// A server with `capacity` slots, of 1 s an answer. It queues what it can't serve, or rejects it at once. Its caller
// always has another call.
class Server {
 public:
  Server(AutoSlots& slots, bool rejects) : slots_(slots), rejects_(rejects) {}

  int capacity = 4;
  int64_t answered = 0;
  int64_t rejected = 0;
  Duration longest{};  // latency

  // Runs until `end`.
  void RunUntil(TimePoint end) {
    while (true) {
      while (slots_.NotBefore({}, now_) <= now_ && Send()) {
      }
      Work* next = Next();
      if (next == nullptr || next->ends > end) break;
      now_ = next->ends;
      Finish(*next);
    }
    now_ = end;
  }

 private:
  struct Work {
    Admitted admitted;
    TimePoint ends = kNever;  // kNever: it waits in the server's queue
  };

  bool Send() {
    Work work;
    work.admitted = {.estimate = {}, .began = now_, .in_flight = slots_.in_flight() + 1};
    slots_.Began(work.admitted);
    if (rejects_ && Busy() >= capacity) {
      ++rejected;
      slots_.Freed(work.admitted, now_);
      slots_.Ended(work.admitted, {.outcome = Outcome::kRateLimited}, now_);
      // The caller is called back after a round trip.
      now_ += 1ms;
      return false;
    }
    work_.push_back(work);
    Serve();
    return true;
  }
  int Busy() const {
    int busy = 0;
    for (const Work& work : work_) busy += work.ends != kNever;
    return busy;
  }
  void Serve() {
    for (Work& work : work_) {
      if (Busy() >= capacity) return;
      if (work.ends == kNever) work.ends = now_ + 1s;
    }
  }
  Work* Next() {
    Work* next = nullptr;
    for (Work& work : work_) {
      if (next == nullptr || work.ends < next->ends) next = &work;
    }
    return next;
  }
  void Finish(Work& work) {
    const Admitted admitted = work.admitted;
    work_.erase(work_.begin() + (&work - work_.data()));
    ++answered;
    longest = std::max(longest, now_ - admitted.began);
    slots_.Freed(admitted, now_);
    slots_.Ended(admitted, {.outcome = Outcome::kAnswered}, now_);
    Serve();
  }

  AutoSlots& slots_;
  const bool rejects_;
  std::vector<Work> work_;
  TimePoint now_ = At(1s);
};

TEST(AutoSlotsTest, FindsWhatAQueueingServerServesAndFollowsIt) {
  AutoSlots slots;
  Server server(slots, false);
  server.RunUntil(At(601s));
  EXPECT_GE(server.answered, 600 * 4 * 0.97);
  EXPECT_LE(server.longest, 3s) << "the queue in the server stays short";
  for (const int capacity : {8, 2}) {
    server.capacity = capacity;
    server.answered = 0;
    server.RunUntil(At(capacity == 8 ? 1201s : 1801s));
    EXPECT_GE(server.answered, 600 * capacity * 0.90) << capacity;
    EXPECT_LE(slots.limit(), capacity + capacity / 2 + 1) << capacity;
  }
}

TEST(AutoSlotsTest, FindsTheCapacityOfAServerThatRejectsAndFollowsIt) {
  AutoSlots slots;
  Server server(slots, true);
  server.capacity = 37;
  TimePoint end = At(61s);
  server.RunUntil(end);
  for (const int capacity : {37, 12, 50}) {
    server.capacity = capacity;
    server.RunUntil(end += 120s);  // settles
    server.answered = server.rejected = 0;
    server.RunUntil(end += 600s);
    EXPECT_GE(server.answered, 600 * capacity * 0.95) << capacity;
    EXPECT_LE(server.rejected, server.answered / 200) << capacity;
  }
}

TEST(AutoSlotsTest, AColdServerIsNotFlooded) {
  AutoSlots slots;
  Server server(slots, false);
  server.capacity = 1;
  server.RunUntil(At(31s));
  EXPECT_LE(server.longest, 4s);
  server.capacity = 8;
  server.RunUntil(At(91s));
  EXPECT_GE(slots.limit(), 8);
}

TEST(RateTest, BeginsEvenlyAndUsesTheWholeLimit) {
  RequestRate rate(600);
  TimePoint now = At(1s);
  std::map<int64_t, int> by_second;
  for (int i = 0; i < 1000; ++i) {
    now = rate.NotBefore({}, now);
    rate.Began({.estimate = {}, .began = now});
    ++by_second[now.time_since_epoch() / 1s];
  }
  EXPECT_LE(now, At(1s) + 100s);
  EXPECT_GE(now, At(1s) + 98s);
  for (const auto& [second, count] : by_second) EXPECT_LE(count, 20) << second;
}

TEST(RateTest, TokensAreCorrectedWhenTheRealNumberIsKnown) {
  TokenRate rate(60'000);  // 1,000 a second
  const Admitted attempt{.estimate = {.tokens = 10'000}, .began = At(1s)};
  rate.Began(attempt);
  EXPECT_NEAR(static_cast<double>((rate.NotBefore({}, At(1s)) - At(1s)) / 1ms), 9000, 2);
  rate.Ended(attempt, {.outcome = Outcome::kAnswered, .tokens = 4'000}, At(2s));
  EXPECT_NEAR(static_cast<double>((rate.NotBefore({}, At(2s)) - At(1s)) / 1ms), 3000, 2);
}

TEST(RateTest, ARejectedAttemptTookNoTokens) {
  TokenRate rate(60'000);
  const Admitted attempt{.estimate = {.tokens = 10'000}, .began = At(1s)};
  rate.Began(attempt);
  rate.Ended(attempt, {.outcome = Outcome::kRateLimited}, At(1s));
  EXPECT_EQ(rate.NotBefore({}, At(1s)), At(1s));
}

TEST(RateTest, ALimitOfOneTokenOverflowsNothing) {
  TokenRate rate(1);
  for (int i = 0; i < 100; ++i) {
    const Admitted attempt{.estimate = {.tokens = 1'000'000'000'000}, .began = At(1s)};
    rate.Began(attempt);
    EXPECT_GT(rate.NotBefore({}, At(1s)), At(1s));
    rate.Ended(attempt, {.tokens = 4'000'000'000'000}, At(1s));
    EXPECT_GT(rate.NotBefore({}, At(1s)), At(1s));
  }
}

TEST(HoldOffTest, IsObeyedUpToItsBound) {
  HoldOff hold_off(1h);
  hold_off.Ended({}, {.outcome = Outcome::kRateLimited, .retry_after = 24h}, At(1s));
  EXPECT_EQ(hold_off.NotBefore({}, At(2s)), At(1s) + 1h);
  hold_off.Ended({}, {.outcome = Outcome::kRateLimited, .retry_after = 1s}, At(3s));
  EXPECT_EQ(hold_off.NotBefore({}, At(4s)), At(1s) + 1h) << "a shorter pause does not end a longer one";
}

TEST(HoldOffTest, ARefusalThatNeedsAHumanStartsNoPause) {
  HoldOff hold_off(1h);
  for (const Outcome outcome : {Outcome::kCredentials, Outcome::kQuota, Outcome::kNoModel, Outcome::kNoHost}) {
    hold_off.Ended({}, {.outcome = outcome, .retry_after = 1h}, At(1s));
    EXPECT_EQ(hold_off.NotBefore({}, At(2s)), At(2s));
  }
}

TEST(SilenceTest, ATargetIsSuspectedAfterThreeTimesItsLongestWait) {
  Silence silence;
  const Admitted attempt{.estimate = {}, .began = At(100s)};
  EXPECT_EQ(silence.SuspectedFrom(), kNever) << "nothing is in flight";
  silence.Began(attempt);
  EXPECT_EQ(silence.SuspectedFrom(), At(130s)) << "it never answered";
  silence.NoteFirstByte(CallKind::kChat, 2s);
  EXPECT_EQ(silence.SuspectedFrom(), At(110s)) << "at least 10 s";
  silence.NoteFirstByte(CallKind::kChat, 20s);
  silence.NoteFirstByte(CallKind::kChat, 1s);
  EXPECT_EQ(silence.SuspectedFrom(), At(160s));
  EXPECT_FALSE(silence.IsSuspected(At(159s)));
  silence.Heard(At(159s));
  EXPECT_FALSE(silence.IsSuspected(At(160s))) << "any byte is a sign of life";
  EXPECT_TRUE(silence.IsSuspected(At(219s)));
  for (int i = 0; i < 1000; ++i) silence.NoteFirstByte(CallKind::kChat, 1s);
  EXPECT_EQ(silence.SuspectedFrom(), At(169s)) << "old answers are forgotten";
}

TEST(SilenceTest, ASuspectedTargetTakesAProbeEachHalfMinuteUntilItAnswers) {
  Silence silence;
  const auto begin = [&](Duration at) { silence.Began({.estimate = {}, .began = At(at)}); };
  const auto end = [&](Outcome outcome, Duration at) {
    silence.Freed({}, At(at));
    silence.Ended({}, {.outcome = outcome}, At(at));
  };
  begin(0s);
  EXPECT_TRUE(silence.Check(At(30s)));
  EXPECT_FALSE(silence.Check(At(30s))) << "it is known";
  EXPECT_EQ(silence.ProbeAt(), At(60s));
  begin(60s);
  EXPECT_EQ(silence.ProbeAt(), At(90s));
  end(Outcome::kUnknown, 120s);
  end(Outcome::kNotSent, 121s);
  EXPECT_TRUE(silence.IsSuspected(At(500s))) << "nothing has come";
  begin(500s);
  end(Outcome::kServerError, 501s);
  EXPECT_FALSE(silence.IsSuspected(At(502s))) << "an error is a sign of life, too";
}

TEST(SilenceTest, AnAttemptThatTimedOutLeavesTheSuspicion) {
  Silence silence;
  silence.Began({.estimate = {}, .began = At(0s)});
  silence.Freed({}, At(120s));
  silence.Ended({}, {.outcome = Outcome::kUnknown}, At(120s));
  EXPECT_TRUE(silence.IsSuspected(At(121s)));
}

TEST(RetryBudgetTest, WithoutAnswersOnlyItsFloorIsLeft) {
  RetryBudget budget;
  const Estimate retry{.is_retry = true};
  TimePoint now = At(1s);
  int64_t begun = 0;
  while (now < At(61s)) {
    budget.Began({.estimate = retry, .began = now});
    ++begun;
    now = budget.NotBefore(retry, now);
  }
  EXPECT_LE(begun, 100 + 61);
  EXPECT_EQ(budget.NotBefore({}, now), now) << "first attempts are not limited";
  for (int i = 0; i < 10; ++i) budget.Ended({}, {.outcome = Outcome::kAnswered}, now);
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(budget.NotBefore(retry, now), now) << i;
    budget.Began({.estimate = retry, .began = now});
  }
  budget.Began({.estimate = retry, .began = now});
  EXPECT_GT(budget.NotBefore(retry, now), now) << "the floor is used up, too";
}

TEST(BreakerTest, OpensWhenNearlyAllFailAndClosesByAProbe) {
  Breaker breaker({});
  const auto end = [&](Outcome outcome, Duration at) { breaker.Ended({}, {.outcome = outcome}, At(at)); };
  for (int i = 0; i < 19; ++i) end(Outcome::kServerError, 1s);
  EXPECT_FALSE(breaker.is_open());
  end(Outcome::kAnswered, 1s);
  EXPECT_TRUE(breaker.is_open()) << "19 of 20 failed";
  EXPECT_EQ(breaker.NotBefore({}, At(2s)), At(6s));
  const Admitted probe{.estimate = {}, .began = At(6s)};
  breaker.Began(probe);
  EXPECT_EQ(breaker.NotBefore({}, At(6s)), kNever) << "one probe at a time";
  breaker.Ended(probe, {.outcome = Outcome::kUnknown}, At(7s));
  EXPECT_EQ(breaker.NotBefore({}, At(7s)), At(12s));
  const Admitted second{.estimate = {}, .began = At(12s)};
  breaker.Began(second);
  breaker.Ended(second, {.outcome = Outcome::kAnsweredBad}, At(13s));
  EXPECT_FALSE(breaker.is_open()) << "a bad answer is not the target's fault";
}

TEST(BreakerTest, HalfOfAllFailingDoesNotOpenIt) {
  Breaker breaker({});
  for (int i = 0; i < 5000; ++i) {
    breaker.Ended({}, {.outcome = i % 2 == 0 ? Outcome::kServerError : Outcome::kAnswered}, At(1s + i * 1ms));
    EXPECT_FALSE(breaker.is_open());
  }
}

TEST(BreakerTest, AProbeThatWasNeverSentIsFollowedByAnother) {
  Breaker breaker({});
  for (int i = 0; i < 20; ++i) breaker.Ended({}, {.outcome = Outcome::kServerError}, At(1s));
  const Admitted probe{.estimate = {}, .began = At(6s)};
  breaker.Began(probe);
  breaker.Ended(probe, {.outcome = Outcome::kNotSent, .was_sent = false}, At(6s));
  EXPECT_EQ(breaker.NotBefore({}, At(6s)), At(6s));
}

TEST(BreakerTest, AProbeThatItsReaderCancelledShowsNothing) {
  Breaker breaker({});
  for (int i = 0; i < 20; ++i) breaker.Ended({}, {.outcome = Outcome::kServerError}, At(1s));
  const Admitted probe{.estimate = {}, .began = At(6s)};
  breaker.Began(probe);
  breaker.Ended(probe, {.outcome = Outcome::kCancelled}, At(7s));
  EXPECT_TRUE(breaker.is_open());
  EXPECT_EQ(breaker.NotBefore({}, At(7s)), At(7s)) << "another may begin";
}

TEST(BreakerTest, CancelledAttemptsDoNotCountAmongTheAnswered) {
  Breaker breaker({});
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(breaker.is_open());
    breaker.Ended({}, {.outcome = Outcome::kCancelled}, At(1s));
    breaker.Ended({}, {.outcome = Outcome::kServerError}, At(1s));
  }
  EXPECT_TRUE(breaker.is_open());
}

}  // namespace
}  // namespace millrace
