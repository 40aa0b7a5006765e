// The policy after a failed attempt: a decision as a value, out of the class of the failure (classify.h) and the
// policy of the alias. It knows nothing of queues, stores or time.
#pragma once

#include <cstdint>

#include "backends/sdk/backend.h"
#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/base/status.h"

namespace millrace {

// The policy if nobody knows whether a call was answered.
enum class UnknownPolicy { kRetry, kFail };

struct RetryPolicy {
  // `max_attempts` of the configuration: the most answers to one question that can't be used but that another attempt
  // may cure (an empty one, one that is not of the protocol). A repair is another question. Failures of a target don't
  // count: they are retried until the caller's deadline or max_elapsed.
  int32_t attempts_max = 3;
  // `initial_backoff` and `max_backoff`.
  Duration backoff_initial = std::chrono::milliseconds(500);
  Duration backoff_max = std::chrono::seconds(30);
  UnknownPolicy on_unknown = UnknownPolicy::kRetry;
};

// Upper bound of a Retry-After: if a provider asks for more, attempts at the target start again after this.
inline constexpr Duration kRetryAfterMax = std::chrono::hours(1);

// Returns the wait after the n-th failure in a row of one call at one target (from 1). Full jitter: uniform between
// nothing and min(backoff_max, backoff_initial * 2^(n-1)), because calls that failed together must not return together.
// (Brooker, "Exponential backoff and jitter", 2015.)
Duration BackoffAfter(int32_t failures, const RetryPolicy& policy, Random& random);

// The failure, and the history of the call at its target.
struct FailedAttempt {
  const backend::Failure& failure;
  int32_t failures = 1;  // in a row of this call at this target, this one included
  bool can_wait = true;  // a run waits for the call; else only Generate calls, which fail if a human must act first
};

// The next action of a call after a failed attempt.
struct Decision {
  enum class Next {
    kRetry,    // this target again, after `delay`; meanwhile any other
    kExclude,  // never this target again; the call fails with `error` if no other is left
    kFail,     // the call fails with `error`
  };
  Next next = Next::kRetry;
  Duration delay{};
  // The target does not accept any call until a human repairs it (credentials, quota).
  bool needs_human = false;
  // The provider's Retry-After: the queue grants no slot of the target for this long; zero: it sent none.
  Duration hold_off{};
  Status error;
};
Decision After(const FailedAttempt& attempt, const RetryPolicy& policy, Random& random);

// Returns the error of a call that may have been answered although nobody has the answer, if the policy is not to ask
// again.
Status UnknownOutcomeError();

}  // namespace millrace
