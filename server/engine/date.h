// Dates in the JSON of items.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// Returns the microseconds since 1970 of an RFC 3339 time, or of the beginning of a date (YYYY-MM-DD) in UTC; nullopt
// if `text` is neither.
std::optional<int64_t> ParseDate(std::string_view text);

}  // namespace millrace
