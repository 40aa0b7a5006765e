// Limits that a response reports in its headers `x-ratelimit-*`.
#pragma once

#include <optional>
#include <string_view>

#include "backends/sdk/backend.h"

namespace millrace::backend::openai {

// Reads the headers. Leaves out what is not plausible: Azure has sent limits of 0 and -1.
RateHint RateHintOf(const Headers& headers);

// Parses a duration such as `1h2m3.5s`, `6m0s` or `120ms`; a bare number is seconds, as Azure sends it. Returns nullopt
// for anything else, and for more than a year.
std::optional<Duration> ResetDuration(std::string_view text);

}  // namespace millrace::backend::openai
