// Time in a field of an item.
#pragma once

#include <cstdint>
#include <optional>

#include <boost/json/fwd.hpp>

namespace millrace {

// Returns the microseconds since 1970 of a date: RFC 3339 (`2020-04-01T10:00:00Z`, also with a fraction of a second or
// an offset), YYYY-MM-DD (its first moment in UTC), or milliseconds since 1970 as a number or as text of digits.
// Returns nullopt for any other value.
std::optional<int64_t> ItemTimeMicros(const boost::json::value& value);

}  // namespace millrace
