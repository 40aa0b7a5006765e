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
  // Questions of a call whose own answers are at fault in a way that another try may cure.
  int32_t attempts_max = 3;
  Duration backoff_initial = std::chrono::milliseconds(500);
  Duration backoff_max = std::chrono::seconds(30);
  UnknownPolicy on_unknown = UnknownPolicy::kRetry;
};

// Upper bound of a Retry-After: a provider that asks for more is tried again after this.
inline constexpr Duration kRetryAfterMax = std::chrono::hours(1);

// Returns the wait after the n-th failure in a row of one call at one target (from 1). Full jitter: uniform between
// nothing and min(backoff_max, backoff_initial * 2^(n-1)), because calls that failed together must not return together.
// (Brooker, "Exponential backoff and jitter", 2015.)
Duration BackoffAfter(int32_t failures, const RetryPolicy& policy, Random& random);

// The failure, and what the call has seen before.
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
  // No attempt of any call goes to the target for this long; zero: the provider did not say.
  Duration hold_off{};
  Status error;
};
Decision After(const FailedAttempt& attempt, const RetryPolicy& policy, Random& random);

// Returns the error of a call that nobody knows the answer of, if the policy is not to ask again.
Status UnknownOutcomeError();

}  // namespace millrace
