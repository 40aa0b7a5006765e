// The policy after a failed attempt: a decision as a value, out of the class of the failure (classify.h) and the
// policy of the alias. It knows nothing of queues, stores or time.
#pragma once

#include <cstdint>
#include <optional>

#include "backends/sdk/backend.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/llm/refusals.h"

namespace millrace {

// The policy if nobody knows whether a call was answered.
enum class UnknownPolicy { kRetry, kFail };

struct RetryPolicy {
  // `max_attempts` of the configuration: the most answers to one question that can't be used but that another attempt
  // may cure (an empty one, one that is not of the protocol). A repair is another question. Failures of a target don't
  // count: they are retried until the caller's deadline or max_elapsed.
  int32_t max_attempts = 5;
  // Bounds of the waits after failures of a target: see Target::RetryDelay.
  Duration initial_backoff = std::chrono::milliseconds(500);
  Duration max_backoff = std::chrono::seconds(30);
  // Attempts of one call whose outcome is unknown, beyond the first. Each may be billed. nullopt: no limit.
  std::optional<int32_t> max_extra;
  UnknownPolicy on_unknown = UnknownPolicy::kRetry;
};

// Upper bound of a Retry-After: if a provider asks for more, attempts at the target start again after this.
inline constexpr Duration kRetryAfterMax = std::chrono::hours(1);

// The failure, and what the call has seen before.
struct FailedAttempt {
  const backend::Failure& failure;
  int32_t unknowns = 0;  // attempts of this call, in this process, whose outcome is unknown, this one included
  bool may_bill = true;  // the backend may bill an attempt whose outcome is unknown
  bool can_wait = true;  // a run waits for the call; else only Generate calls, which fail if a human must act first
  // Whose fault it is, if only a human can repair the target.
  Refusals::Fault refusal = Refusals::Fault::kUnclear;
};

// The next action of a call after a failed attempt.
struct Decision {
  enum class Next {
    kRetry,    // this target again, after its own delay and at least `delay`; meanwhile any other
    kExclude,  // never this target again; the call fails with `error` if no other is left
    kFail,     // the call fails with `error`
  };
  Next next = Next::kRetry;
  // Least wait, if it is longer than Target::RetryDelay.
  Duration delay{};
  // The target does not accept any call until a human repairs it (credentials, quota, unknown model, unknown host).
  bool needs_human = false;
  Status error;
};
Decision After(const FailedAttempt& attempt, const RetryPolicy& policy);

// Returns the error of a call that may have been answered although nobody has the answer, if the policy is not to ask
// again.
Status UnknownOutcomeError();

}  // namespace millrace
