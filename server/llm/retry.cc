#include "server/llm/retry.h"

#include <algorithm>

namespace millrace {

Duration BackoffAfter(int32_t failures, const RetryPolicy& policy, Random& random) {
  Duration ceiling = policy.backoff_initial;
  for (int32_t i = 1; i < failures && ceiling < policy.backoff_max; ++i) ceiling *= 2;
  ceiling = std::min(ceiling, policy.backoff_max);
  return Duration(static_cast<int64_t>(random.Uniform() * static_cast<double>(ceiling.count())));
}

}  // namespace millrace
