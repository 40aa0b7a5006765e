// Dates in items.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// Microseconds since 1970 of an RFC 3339 time or a date (YYYY-MM-DD, its beginning in UTC).
std::optional<int64_t> ParseDate(std::string_view text);

}  // namespace millrace
