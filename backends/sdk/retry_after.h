// The wait that a provider asks for in the headers of a response.
#pragma once

#include <chrono>
#include <optional>

#include "backends/sdk/backend.h"

namespace millrace::backend {

// A longer wait is shortened to this. The call layer has a limit of its own; this one keeps numbers such as 1e18 in
// range.
inline constexpr Duration kRetryAfterHeaderMax = std::chrono::hours(24);

// Reads `retry-after-ms` (milliseconds), else `retry-after` (seconds, or a date), with fractions. A date is compared
// with the provider's own clock, the header `date`: ours may differ, and an exchange has none. Returns nullopt if the
// headers have no wait, a negative one, a date in the past, or something else.
std::optional<Duration> RetryAfterOf(const Headers& headers);

}  // namespace millrace::backend
