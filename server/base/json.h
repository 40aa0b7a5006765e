// JSON as the project takes it in: RFC 8259, UTF-8, no duplicate names, bounded depth and size. Values are
// Boost.JSON's, which keep the order of members and 64-bit integers.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

namespace json = boost::json;

// How deep arrays and objects may be nested in what comes from outside: items, answers, values of a definition.
inline constexpr size_t kOutsideDepthMax = 64;

struct JsonLimits {
  // What came from outside, and a level for each of the 100 stages that a pipeline can have.
  size_t depth = 192;
  size_t bytes = 64u << 20;  // of the text
};

// Parses one value. INVALID_ARGUMENT with reason NOT_JSON and the byte offset where the text is no JSON, has a
// duplicate name, is too deep or too large. A number beyond 64 bits becomes the nearest double; 1e400 is refused.
StatusOr<json::value> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Parses what json::serialize wrote, of any depth; null where it is something else.
json::value ParseOwnJson(std::string_view text);

// The value at a path of names joined by dots (a number takes an element of an array), or null where there is none.
// The returned pointer lives as long as `value`.
const json::value* FindPath(const json::value& value, std::string_view path);

// The double nearest to a JSON number; nothing where there is none, or the number is beyond the largest.
std::optional<double> NearestDouble(std::string_view text);

// Errors (NOT_JSON) of a text that is no JSON at a byte, counted from 0; and of one that is too large.
Status NotJson(size_t offset, std::string_view what);
Status JsonTooLarge(size_t size, const JsonLimits& limits);

}  // namespace millrace
