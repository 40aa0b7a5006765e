// JSON as the project takes it in: RFC 8259, UTF-8, no duplicate names, bounded depth and size; and its canonical form,
// which digests are made of (docs/formats.md). Values are Boost.JSON's, which keep the order of members and 64-bit
// integers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "server/base/status.h"

namespace millrace {

namespace json = boost::json;

struct JsonLimits {
  size_t depth = 64;            // nesting of arrays and objects
  size_t bytes = 64u << 20;     // of the text
};

// Parses one value. INVALID_ARGUMENT with reason NOT_JSON and the byte offset where the text is no JSON, has a duplicate
// name, is too deep or too large. A number beyond 64 bits becomes the nearest double; 1e400 is refused.
StatusOr<json::value> ParseJson(std::string_view text, const JsonLimits& limits = {});

// The canonical form of a JSON text: RFC 8785 (no white space, members sorted by UTF-16 code units, numbers as
// ECMAScript prints them), except that integers keep all their digits, however long; `1.0`, `1` and `1e0` are the same.
// Refuses what ParseJson refuses.
StatusOr<std::string> CanonicalJson(std::string_view text, const JsonLimits& limits = {});

// The same of a value in hand.
std::string CanonicalJson(const json::value& value);

// The value at a path of names joined by dots (a number takes an element of an array), or null where there is none.
// The returned pointer lives as long as `value`.
const json::value* FindPath(const json::value& value, std::string_view path);

}  // namespace millrace
