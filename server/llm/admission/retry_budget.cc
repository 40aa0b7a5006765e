#include "server/llm/admission/retry_budget.h"

#include <algorithm>

namespace millrace {

TimePoint RetryBudget::NotBefore(const Estimate& estimate, TimePoint now) const {
  return !estimate.is_retry || tokens_ >= 1 ? now : std::max(now, floor_at_);
}

void RetryBudget::Began(const Admitted& attempt) {
  if (!attempt.estimate.is_retry) return;
  if (tokens_ >= 1) {
    tokens_ -= 1;
  } else {
    floor_at_ = attempt.began + kFloor;
  }
}

void RetryBudget::Ended(const Admitted&, const AttemptEnd& end, TimePoint) {
  if (end.outcome == backend::Outcome::kAnswered) tokens_ = std::min(tokens_ + kPerAnswer, kTokensMax);
}

}  // namespace millrace
