// When a call that failed is tried again: how long it waits after its target failed, and how its own failures are
// counted. Which failures are whose is said by classify.h.
#pragma once

#include <cstdint>

#include "server/base/clock.h"
#include "server/base/random.h"

namespace millrace {

struct RetryPolicy {
  int32_t attempts_max = 3;  // tries of a call that fails by its own fault in a way that another try may mend
  Duration backoff_initial = std::chrono::milliseconds(500);
  Duration backoff_max = std::chrono::seconds(30);
};

// A provider that asks for more is asked again after this all the same.
inline constexpr Duration kRetryAfterMax = std::chrono::hours(1);

// The wait after the n-th failure of a target in a row for one call (from 1). Full jitter, uniform between nothing and
// min(backoff_max, backoff_initial * 2^(n-1)): calls that failed together must not return together. (Brooker,
// "Exponential backoff and jitter", 2015.)
Duration BackoffAfter(int32_t failures, const RetryPolicy& policy, Random& random);

}  // namespace millrace
