// The JSON that the project accepts: RFC 8259 in UTF-8, without duplicate names, of bounded depth and size. Values are
// those of Boost.JSON, which keep the order of members and 64-bit integers.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

namespace json = boost::json;

// Greatest nesting of arrays and objects in JSON from outside: items, answers, values of a definition.
inline constexpr size_t kOutsideDepthMax = 64;

struct JsonLimits {
  // Greatest nesting of arrays and objects. The default has room for JSON from outside (kOutsideDepthMax) below one
  // level for each of the 100 stages that a pipeline can have.
  size_t depth = 192;
  size_t bytes = 64u << 20;  // largest text
};

// Parses a text that is one JSON value. An integer of more than 64 bits becomes the nearest double. Fails with reason
// NOT_JSON and the byte offset of the fault if the text is not JSON, has a duplicate name or a number beyond the
// largest double (1e400), or exceeds `limits`.
StatusOr<json::value> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Parses a text that json::serialize wrote, of any depth and size; null if the text is not JSON.
json::value ParseOwnJson(std::string_view text);

// Returns the value at a path of names joined by dots, in which a number selects an element of an array, counted from
// 0; null if `value` has nothing at that path. The returned pointer is valid as long as `value`.
const json::value* FindPath(const json::value& value, std::string_view path);

// Returns the double nearest to a JSON number; nullopt if `text` is not a number, or is beyond the largest double.
std::optional<double> NearestDouble(std::string_view text);

// Returns the error (NOT_JSON) of a text that is wrong at byte `offset`, counted from 0; `what` says in which way.
Status NotJson(size_t offset, std::string_view what);
// Returns the error (NOT_JSON) of a text that is larger than `limits` allow.
Status JsonTooLarge(size_t size, const JsonLimits& limits);

}  // namespace millrace
