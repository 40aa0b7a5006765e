// Dates in headers of HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// Parses a date (RFC 9110, IMF-fixdate: `Sat, 21 Nov 2026 11:00:00 GMT`) into seconds since 1970; years up to 9999.
std::optional<int64_t> HttpDateSeconds(std::string_view text);

}  // namespace millrace
