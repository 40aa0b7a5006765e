// The time that a field of an item names.
#pragma once

#include <cstdint>
#include <optional>

#include <boost/json/fwd.hpp>

namespace millrace {

// Microseconds since 1970 of a date: RFC 3339 (`2020-04-01T10:00:00Z`, with an offset or without seconds' fraction),
// YYYY-MM-DD (its first moment, UTC), or milliseconds since 1970 as a number or as text of digits. Nothing for all
// else.
std::optional<int64_t> ItemTimeMicros(const boost::json::value& value);

}  // namespace millrace
