#include "server/llm/classify.h"

#include <fmt/format.h>

#include <cstdlib>

namespace millrace {

using backend::Outcome;

FailureKind KindOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kRefused:
    case Outcome::kTooLarge:
      return FailureKind::kCallFinal;
    case Outcome::kAnsweredBad:
      return FailureKind::kCallAgain;
    case Outcome::kUnknown:
    case Outcome::kPartial:
      return FailureKind::kUnknown;
    case Outcome::kCredentials:
    case Outcome::kQuota:
    case Outcome::kNoModel:
    case Outcome::kNoHost:
      return FailureKind::kTargetFinal;
    case Outcome::kRateLimited:
    case Outcome::kOverloaded:
    case Outcome::kServerError:
    case Outcome::kNotSent:
    case Outcome::kCancelled:
      return FailureKind::kTarget;
    case Outcome::kAnswered:
      break;
  }
  std::abort();
}

v1::AttemptOutcome AttemptOutcomeOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAnswered:
      return v1::ATTEMPT_OUTCOME_ANSWERED;
    case Outcome::kAnsweredBad:
      return v1::ATTEMPT_OUTCOME_ANSWERED_BAD;
    case Outcome::kRefused:
    case Outcome::kRateLimited:
    case Outcome::kOverloaded:
    case Outcome::kServerError:
    case Outcome::kCredentials:
    case Outcome::kQuota:
    case Outcome::kNoModel:
      return v1::ATTEMPT_OUTCOME_REJECTED;
    case Outcome::kNotSent:
    case Outcome::kNoHost:
      return v1::ATTEMPT_OUTCOME_NOT_SENT;
    case Outcome::kUnknown:
      return v1::ATTEMPT_OUTCOME_UNKNOWN;
    case Outcome::kPartial:
    case Outcome::kTooLarge:
      return v1::ATTEMPT_OUTCOME_PARTIAL;
    case Outcome::kCancelled:
      return v1::ATTEMPT_OUTCOME_CANCELLED;
  }
  std::abort();
}

bool IsMaybeBilled(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_STARTED || outcome == v1::ATTEMPT_OUTCOME_UNKNOWN ||
         outcome == v1::ATTEMPT_OUTCOME_PARTIAL || outcome == v1::ATTEMPT_OUTCOME_CANCELLED;
}

backend::Failure FailureOf(const HttpResult& result) {
  backend::Failure failure{.outcome = Outcome::kUnknown,
                           .reason = Reason::kTargetFailed,
                           .message = Excerpt(result.error, 1000),
                           .retry_after = {},
                           .http_status = result.status};
  switch (result.outcome) {
    case HttpOutcome::kNotSent:
      failure.outcome = result.no_such_host ? Outcome::kNoHost : Outcome::kNotSent;
      if (result.no_such_host) failure.reason = Reason::kProviderHost;
      break;
    case HttpOutcome::kUnknown:
      break;
    case HttpOutcome::kPartial:
      failure.outcome = Outcome::kPartial;
      break;
    case HttpOutcome::kTooLarge:
      failure.outcome = Outcome::kTooLarge;
      failure.reason = Reason::kResponseTooLarge;
      if (failure.message.empty()) failure.message = "the answer is larger than the limit";
      break;
    case HttpOutcome::kCancelled:
      failure.outcome = Outcome::kCancelled;
      break;
    case HttpOutcome::kAnswered:
    case HttpOutcome::kEnded:
      std::abort();
  }
  return failure;
}

Status ErrorOf(const backend::Failure& failure) {
  const Reason reason = failure.reason == Reason::kNone ? Reason::kTargetFailed : failure.reason;
  const std::string message = failure.message.empty() ? "the provider failed" : failure.message;
  return MakeError(reason, message);
}

}  // namespace millrace
