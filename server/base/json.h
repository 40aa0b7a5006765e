// JSON as the project takes it in: RFC 8259, UTF-8, no duplicate names, bounded depth and size; and its canonical form,
// which digests are made of (docs/formats.md). Values are Boost.JSON's, which keep the order of members and 64-bit
// integers.
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

// The canonical form of a JSON text: RFC 8785 (no white space, members sorted by UTF-16 code units, numbers as
// ECMAScript prints them), except that integers (numbers written without fraction and exponent) keep all their digits,
// however long; `1.0`, `1` and `1e0` are the same. Refuses what ParseJson refuses. About 1 µs for 200 bytes.
StatusOr<std::string> CanonicalJson(std::string_view text, const JsonLimits& limits = {});

// The same of a value in hand, whose integers of more than 64 bits have become doubles.
std::string CanonicalJson(const json::value& value);

// The value at a path of names joined by dots (a number takes an element of an array), or null where there is none.
// The returned pointer lives as long as `value`.
const json::value* FindPath(const json::value& value, std::string_view path);

// The double nearest to a JSON number; nothing where there is none, or the number is beyond the largest.
std::optional<double> NearestDouble(std::string_view text);

// Errors (NOT_JSON) of a text that is no JSON at a byte, counted from 0; and of one that is too large.
Status NotJson(size_t offset, std::string_view what);
Status JsonTooLarge(size_t size, const JsonLimits& limits);

}  // namespace millrace
