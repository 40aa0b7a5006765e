#include "backends/sdk/status_meaning.h"

#include <fmt/format.h>

#include "backends/sdk/retry_after.h"
#include "server/base/status.h"

namespace millrace::backend {

StatusMeaning MeaningOfStatus(int status) {
  if (status == 401 || status == 403) return {Outcome::kCredentials, Reason::kProviderCredentials};
  if (status == 402) return {Outcome::kQuota, Reason::kProviderQuota};
  if (IsNotThere(status)) return {Outcome::kNoModel, Reason::kProviderModel};
  if (status == 408 || status == 409 || status == 425) return {Outcome::kServerError, Reason::kTargetFailed};
  if (status == 429) return {Outcome::kRateLimited, Reason::kTargetFailed};
  if (status == 503 || status == 529) return {Outcome::kOverloaded, Reason::kTargetFailed};
  if (status >= 500) return {Outcome::kServerError, Reason::kTargetFailed};
  if (status >= 400) return {Outcome::kRefused, Reason::kRequestRefused};
  return {Outcome::kAnsweredBad, Reason::kBadResponse};
}

Failure FailureOfStatus(int status, const Headers& headers, std::string_view message) {
  const StatusMeaning meaning = MeaningOfStatus(status);
  Failure failure;
  failure.outcome = meaning.outcome;
  failure.reason = meaning.reason;
  failure.message = fmt::format("HTTP {}", status);
  if (!message.empty()) failure.message += fmt::format(": {}", Excerpt(message, 512));
  failure.retry_after = RetryAfterOf(headers);
  failure.http_status = status;
  return failure;
}

}  // namespace millrace::backend
