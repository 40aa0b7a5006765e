#include "server/llm/retry.h"

#include <algorithm>

#include "server/llm/classify.h"

namespace millrace {

Duration BackoffAfter(int32_t failures, const RetryPolicy& policy, Random& random) {
  Duration ceiling = policy.backoff_initial;
  for (int32_t i = 1; i < failures && ceiling < policy.backoff_max; ++i) ceiling *= 2;
  ceiling = std::min(ceiling, policy.backoff_max);
  return Duration(static_cast<int64_t>(random.Uniform() * static_cast<double>(ceiling.count())));
}

Decision After(const FailedAttempt& attempt, const RetryPolicy& policy, Random& random) {
  const FailureKind kind = KindOf(attempt.failure.outcome);
  Decision decision;
  decision.needs_human = kind == FailureKind::kTargetFinal;
  if (kind == FailureKind::kCallFinal || (decision.needs_human && !attempt.can_wait)) {
    decision.next = Decision::Next::kExclude;
    decision.error = ErrorOf(attempt.failure);
    return decision;
  }
  if (kind == FailureKind::kUnknown && policy.on_unknown == UnknownPolicy::kFail) {
    decision.next = Decision::Next::kFail;
    decision.error = UnknownOutcomeError();
    return decision;
  }
  decision.delay = BackoffAfter(attempt.failures, policy, random);
  // Waiting cures nothing here: try seldom.
  if (decision.needs_human) decision.delay = policy.backoff_max;
  if (attempt.failure.retry_after) decision.hold_off = std::min(*attempt.failure.retry_after, kRetryAfterMax);
  return decision;
}

Status UnknownOutcomeError() {
  return MakeError(Reason::kUnknownOutcome,
                   "it is unknown whether the call was answered, and the policy is not to ask again");
}

}  // namespace millrace
