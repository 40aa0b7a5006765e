// Many calls against a provider with a limit per minute, in virtual time: configured, or only reported by the provider.
// The figures are printed, and exact: equal seeds give equal runs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "server/llm/admission/reported_limit.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

constexpr int64_t kTokensOfAnswer = 15;  // as PlainBackend reports them

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// A provider's limit per minute, of requests that each take `cost`.
class Meter {
 public:
  // How the provider counts.
  enum class Kind {
    kBucket,  // it refills all the time (OpenAI)
    kWindow,  // it is full again at each full minute
  };
  Meter(Kind kind, int64_t limit, int64_t cost) : kind_(kind), limit_(limit), cost_(cost) {}

  // Returns whether a request that comes now is accepted.
  bool Take(TimePoint now) {
    left_ = std::min(limit_, left_ + LimitPerSecond() * Seconds(now - updated_));
    if (kind_ == Kind::kWindow) left_ = now >= WindowEnd(updated_) ? limit_ : left_before_;
    updated_ = now;
    const bool is_accepted = left_ >= cost_;
    if (is_accepted) left_ -= cost_;
    left_before_ = left_;
    return is_accepted;
  }
  // Returns the header that reports it.
  std::string Report(TimePoint now) const {
    const double reset = kind_ == Kind::kWindow ? Seconds(WindowEnd(now) - now) : (limit_ - left_) / LimitPerSecond();
    return fmt::format("{:.0f} {:.0f} {:.0f}", limit_, std::floor(left_), std::ceil(reset * 1000));
  }

 private:
  double LimitPerSecond() const { return limit_ / 60; }
  static TimePoint WindowEnd(TimePoint time) {
    return TimePoint(std::chrono::floor<std::chrono::minutes>(time.time_since_epoch()) + 1min);
  }

  const Kind kind_;
  const double limit_;
  const double cost_;
  double left_ = limit_;
  double left_before_ = limit_;
  TimePoint updated_{};
};

struct Scene {
  Meter::Kind kind = Meter::Kind::kBucket;
  bool counts_tokens = false;
  bool is_reported = true;
  bool is_configured = false;
  int64_t limit = 600;  // per minute
  int slots = 0;        // 0: auto
};

// Asserts that 1,000 calls against the limit use it nearly in full, and are hardly ever rejected.
void CheckScene(const Scene& scene) {
  constexpr int kCalls = 1000;
  World world;
  v1::TargetLimits& limits = *world.config.mutable_models(0)->mutable_targets(0)->mutable_limits();
  if (scene.slots > 0) {
    limits.mutable_max_concurrency()->set_slots(scene.slots);
  } else {
    limits.mutable_max_concurrency()->set_mode(v1::Concurrency::MODE_AUTO);
  }
  if (scene.is_configured) scene.counts_tokens ? limits.set_tpm(scene.limit) : limits.set_rpm(scene.limit);
  const int64_t cost = scene.counts_tokens ? kTokensOfAnswer : 1;
  Meter meter(scene.kind, scene.limit, cost);
  int rejected = 0;
  world.provider.usual = [&](const HttpRequest&) {
    Reaction reaction{.latency = 500ms};
    if (!meter.Take(world.clock.Now())) {
      ++rejected;
      reaction = {.latency = 10ms, .status = 429, .body = ""};
    }
    const char* const name = scene.counts_tokens ? "tokens" : "requests";
    if (scene.is_reported) reaction.headers = {{name, meter.Report(world.clock.Now())}};
    return reaction;
  };
  std::vector<std::shared_ptr<World::Asked>> calls;
  for (int i = 0; i < kCalls; ++i) calls.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  size_t done = 0;
  ASSERT_TRUE(world.RunUntil([&] {
    while (done < calls.size() && calls[done]->done) ++done;
    return done == calls.size();
  }));
  const double minutes = Seconds(world.clock.Now().time_since_epoch()) / 60;
  const double share = kCalls * static_cast<double>(cost) / (static_cast<double>(scene.limit) * minutes);
  std::printf("%ld %s a minute, %s, %s: %d of %zu requests rejected, %.1f %% of the limit used\n", scene.limit,
              scene.counts_tokens ? "tokens" : "requests",
              scene.kind == Meter::Kind::kBucket ? "refilled all the time" : "in windows of a minute",
              scene.is_configured ? "configured" : "only reported", rejected, world.provider.received.size(),
              share * 100);
  EXPECT_LT(rejected, kCalls / 100);
  EXPECT_GE(share, 0.95);
}

TEST(RateLimitsTest, AReportedLimitOfRequestsIsUsedInFullWithoutRejections) {
  for (const Meter::Kind kind : {Meter::Kind::kBucket, Meter::Kind::kWindow}) {
    CheckScene({.kind = kind});
    CheckScene({.kind = kind, .slots = 8});
  }
}

TEST(RateLimitsTest, AReportedLimitOfTokensIsUsedInFullWithoutRejections) {
  for (const Meter::Kind kind : {Meter::Kind::kBucket, Meter::Kind::kWindow}) {
    CheckScene({.kind = kind, .counts_tokens = true, .limit = 6000, .slots = 8});
  }
}

TEST(RateLimitsTest, AConfiguredLimitIsUsedInFullWithoutRejections) {
  for (const bool counts_tokens : {false, true}) {
    CheckScene({.counts_tokens = counts_tokens,
                .is_reported = false,
                .is_configured = true,
                .limit = counts_tokens ? 6000 : 600,
                .slots = 100});
  }
}

TEST(RateLimitsTest, AbsurdUsageStopsNoTarget) {
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->set_tpm(60'000);
  world.provider.script.push_back({.headers = {{"counted", "1000000000000"}}});
  EXPECT_TRUE(world.Answer("absurd", OfRun("r")).status.ok());
  const auto next = world.Ask("next", OfRun("r"));
  EXPECT_TRUE(world.RunUntil([&] { return next->done; }, 1min));
}

TEST(RateLimitsTest, AReportedLimitBelowWhatOneAttemptTakesStopsNoTarget) {
  World world;
  world.provider.usual = [](const HttpRequest&) { return Reaction{.headers = {{"tokens", "1 0 3600000"}}}; };
  for (int i = 0; i < 3; ++i) {
    const auto asked = world.Ask("q" + std::to_string(i), OfRun("r"));
    EXPECT_TRUE(world.RunUntil([&] { return asked->done; }, 2min)) << i;
  }
}

class ReportedLimitTest : public testing::Test {
 protected:
  Admitted Begin(TimePoint now) {
    const Admitted attempt{.estimate = {}, .number = ++number_, .began = now};
    limit_.Began(attempt);
    return attempt;
  }
  void End(const Admitted& attempt, TimePoint now, backend::RateHint rate) {
    limit_.Ended(attempt, {.rate = rate}, now);
  }
  static backend::RateHint Left(int64_t limit, int64_t remaining, std::optional<Duration> reset) {
    return {.limit_requests = limit, .remaining_requests = remaining, .reset_requests = reset};
  }

  ReportedLimit limit_{ReportedLimit::Of::kRequests};
  int64_t number_ = 0;
};

TEST_F(ReportedLimitTest, NothingBeginsUntilTheResetIfNothingIsLeft) {
  const Admitted first = Begin(TimePoint(0s));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(0s)), TimePoint(0s)) << "nothing is known";
  Begin(TimePoint(0s));
  End(first, TimePoint(1s), Left(600, 2, 20s));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(1s)), TimePoint(1s)) << "2 were left, and one has begun since";
  Begin(TimePoint(1s));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(1s)), TimePoint(21s));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(21s)), TimePoint(21s));
}

TEST_F(ReportedLimitTest, AnOlderReportDoesNotCount) {
  const Admitted first = Begin(TimePoint(0s));
  const Admitted second = Begin(TimePoint(0s));
  End(second, TimePoint(1s), Left(600, 300, 20s));
  End(first, TimePoint(2s), Left(600, 0, 20s));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(2s)), TimePoint(2s));
}

TEST_F(ReportedLimitTest, OnlyWhatIsPlausibleCounts) {
  End(Begin(TimePoint(0s)), TimePoint(1s), Left(0, 0, 20s));
  EXPECT_EQ(limit_.limit(), std::nullopt);
  End(Begin(TimePoint(1s)), TimePoint(1s), Left(600, 601, 20s));
  EXPECT_EQ(limit_.limit(), 600);
  End(Begin(TimePoint(2s)), TimePoint(2s), Left(600, 0, std::nullopt));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(2s)), TimePoint(2s)) << "no reset, no pause";
  End(Begin(TimePoint(3s)), TimePoint(3s), Left(600, 0, 24h));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(3s)), TimePoint(63s)) << "after a minute something is left";
}

TEST_F(ReportedLimitTest, ARejectionThatNamesANearerTimeEndsThePauseThen) {
  const Admitted attempt = Begin(TimePoint(0s));
  limit_.Ended(attempt, {.outcome = backend::Outcome::kRateLimited, .retry_after = 1s, .rate = Left(60, 0, 6min)},
               TimePoint(0s));
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(0s)), TimePoint(1s));
}

TEST_F(ReportedLimitTest, ItIsForgottenIfItIsNotReportedAnyMore) {
  End(Begin(TimePoint(0s)), TimePoint(0s), Left(60, 0, 1h));
  for (int i = 0; i < 9; ++i) End(Begin(TimePoint(1s)), TimePoint(1s), {});
  EXPECT_EQ(limit_.limit(), 60);
  End(Begin(TimePoint(1s)), TimePoint(1s), Left(60, 0, 1h));
  for (int i = 0; i < 10; ++i) End(Begin(TimePoint(2s)), TimePoint(2s), {});
  EXPECT_EQ(limit_.limit(), std::nullopt);
  EXPECT_EQ(limit_.NotBefore({}, TimePoint(2s)), TimePoint(2s));
}

}  // namespace
}  // namespace millrace
