#include "server/llm/retry.h"

#include <fmt/format.h>

#include "server/llm/classify.h"

namespace millrace {

Decision After(const FailedAttempt& attempt, const RetryPolicy& policy) {
  const FailureKind kind = KindOf(attempt.failure.outcome);
  const bool is_refusal = kind == FailureKind::kTargetFinal;
  Decision decision;
  decision.needs_human = is_refusal && attempt.refusal == Refusals::Fault::kTarget;
  if (kind == FailureKind::kCallFinal ||
      (is_refusal && (!attempt.can_wait || attempt.refusal == Refusals::Fault::kCall))) {
    decision.next = Decision::Next::kExclude;
    decision.error = ErrorOf(attempt.failure);
    return decision;
  }
  if (kind == FailureKind::kUnknown && policy.on_unknown == UnknownPolicy::kFail) {
    decision.next = Decision::Next::kFail;
    decision.error = UnknownOutcomeError();
    return decision;
  }
  if (kind == FailureKind::kUnknown && attempt.may_bill && policy.max_extra && attempt.unknowns > *policy.max_extra) {
    decision.next = Decision::Next::kFail;
    decision.error = MakeError(Reason::kUnknownOutcome,
                               fmt::format("{} attempts may have been billed although no whole answer came; "
                                           "`max_extra` allows no more: {}",
                                           attempt.unknowns, attempt.failure.message));
    return decision;
  }
  // Waiting cures nothing here: try seldom.
  if (decision.needs_human) decision.delay = policy.max_backoff;
  return decision;
}

Status UnknownOutcomeError() {
  return MakeError(Reason::kUnknownOutcome,
                   "it is unknown whether the call was answered, and the policy is not to ask again");
}

}  // namespace millrace
