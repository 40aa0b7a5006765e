// Dates and times in texts: the one reader of the product.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

namespace json = boost::json;

// A moment, and whether it was written as a day.
struct Date {
  int64_t micros = 0;   // since 1970, UTC; of a day, its first
  bool is_day = false;  // without a time
};

// Parses a date or a time as people and programs write them without ambiguity:
// - RFC 3339 with its freedoms: `2024-01-31T10:00:00Z`, `t` and `z`, one or more blanks instead of the T, a fraction of
// a
//   second after a point or comma (digits after the sixth are ignored), second 60;
// - without seconds, without a zone (then it is UTC), with the zone `+01:00`, `+0100`, `+01`, `UTC` or `GMT`, also
// after a
//   blank;
// - the basic format of ISO 8601: `20240131`, `20240131T100000Z`;
// - a day: `2024-01-31`.
// Blanks around it are ignored. nullopt for everything else, above all for dates that readers understand differently,
// such as `01/03/2017`.
std::optional<Date> ParseDate(std::string_view text);

// Parses a date by a format of strptime, such as `%d/%m/%Y` or `%d %b %Y %H:%M`, with the names of months and days in
// English; `%z` is a zone, without which it is UTC. nullopt if the text does not fit, or has more than the format.
std::optional<Date> ParseDateAs(std::string_view text, const std::string& format);

// Returns what is wrong with a format for ParseDateAs; nullopt if it is good: it must have a year, a month and a day.
std::optional<std::string> FaultOfDateFormat(const std::string& format);

// Returns the date in a field of an item: a text for ParseDate, or a number, also as text of digits: the digits of a
// date from 1900 to 2100 (20240131 or 20240131100000), seconds since 1970 (10 digits), or milliseconds since 1970 (all
// others, up to the year 9999). nullopt for any other value, and for a number that is a year or a month (2024, 202401).
std::optional<Date> DateOf(const json::value& value);

// Returns true if the value says nothing: it is absent (null pointer), null, or a text of blanks.
bool SaysNothing(const json::value* value);

// Writes a date as RFC 3339 in UTC: `2024-01-31` for a day, else `2024-01-31T10:00:00Z` with a fraction if there is
// one.
std::string FormatDate(const Date& date);

// Returns true if `text` is a date-time, a full-date or a full-time of RFC 3339, exactly as it requires.
bool IsRfc3339DateTime(std::string_view text);
bool IsRfc3339Date(std::string_view text);
bool IsRfc3339Time(std::string_view text);

}  // namespace millrace
