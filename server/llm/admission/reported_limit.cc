#include "server/llm/admission/reported_limit.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace millrace {
namespace {

// The limit is one per minute.
constexpr Duration kPeriod = std::chrono::minutes(1);
// After so many answers in a row without the limit it is forgotten: a proxy may leave out the headers of some.
constexpr int32_t kUnreportedMax = 10;
// More attempts than this don't begin without a report in between; beyond, the oldest count as reported.
constexpr size_t kBegunMax = 10'000;

}  // namespace

TimePoint ReportedLimit::NotBefore(const Estimate& estimate, TimePoint now) const {
  if (pace_ == nullptr) return now;
  const TimePoint at = pace_->NotBefore(estimate, now);
  if (!left_ || now >= reset_at_) return at;
  // An attempt that is larger than the limit may begin when half of it is there: nobody knows better.
  const int64_t needed = std::min(AmountOf(estimate), std::max<int64_t>(1, limit_ / 2));
  return *left_ - begun_sum_ < needed ? std::max(at, reset_at_) : at;
}

void ReportedLimit::Began(const Admitted& attempt) {
  if (begun_.empty()) first_begun_ = attempt.number;
  begun_.push_back(AmountOf(attempt.estimate));
  begun_sum_ += begun_.back();
  if (begun_.size() > kBegunMax) {
    begun_sum_ -= begun_.front();
    begun_.pop_front();
    ++first_begun_;
  }
  if (pace_ != nullptr) pace_->Began({.estimate = Paced(attempt.estimate), .began = attempt.began});
}

Estimate ReportedLimit::Paced(Estimate estimate) const {
  estimate.tokens = std::min(estimate.tokens, limit_);
  return estimate;
}

void ReportedLimit::EndPaced(const Admitted& attempt, AttemptEnd end, TimePoint now) {
  if (end.tokens) end.tokens = std::min(*end.tokens, limit_);
  pace_->Ended({.estimate = Paced(attempt.estimate), .began = attempt.began}, end, now);
}

void ReportedLimit::Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) {
  if (pace_ != nullptr) EndPaced(attempt, end, now);
  const bool is_rejected = IsRejection(end.outcome) || !end.was_sent;
  const int64_t index = attempt.number - first_begun_;
  if (index >= 0 && index < static_cast<int64_t>(begun_.size())) {
    int64_t& amount = begun_[static_cast<size_t>(index)];
    const int64_t real = is_rejected ? 0 : of_ == Of::kTokens && end.tokens.has_value() ? *end.tokens : amount;
    begun_sum_ += real - amount;
    amount = real;
  }
  const bool is_requests = of_ == Of::kRequests;
  const std::optional<int64_t> limit = is_requests ? end.rate.limit_requests : end.rate.limit_tokens;
  if (!limit || *limit < 1) {
    if (end.outcome == backend::Outcome::kAnswered && ++unreported_ >= kUnreportedMax) Forget();
    return;
  }
  unreported_ = 0;
  SetLimit(*limit);
  const std::optional<int64_t> left = is_requests ? end.rate.remaining_requests : end.rate.remaining_tokens;
  const std::optional<Duration> reset = is_requests ? end.rate.reset_requests : end.rate.reset_tokens;
  // A rejected attempt is reported too: it took nothing, so that the number is that of its time all the same.
  if (attempt.number < reported_by_ || !left || *left > *limit || !reset) return;
  reported_by_ = attempt.number;
  left_ = left;
  reset_at_ = now + std::min({*reset, end.retry_after.value_or(*reset), kPeriod});
  for (; !begun_.empty() && first_begun_ <= reported_by_; ++first_begun_) {
    begun_sum_ -= begun_.front();
    begun_.pop_front();
  }
}

void ReportedLimit::SetLimit(int64_t limit) {
  if (pace_ != nullptr && limit_ == limit) return;
  limit_ = limit;
  if (pace_ != nullptr) return pace_->SetPerMinute(limit);
  if (of_ == Of::kRequests) {
    pace_ = std::make_unique<RequestRate>(limit);
  } else {
    pace_ = std::make_unique<TokenRate>(limit);
  }
}

void ReportedLimit::Forget() {
  pace_ = nullptr;
  left_ = std::nullopt;
  unreported_ = 0;
}

}  // namespace millrace
