// The JSON that the project accepts: RFC 8259 in UTF-8, without duplicate names, of bounded depth and size. Values are
// those of Boost.JSON, which keep the order of members and 64-bit integers.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "server/base/json_text.h"
#include "server/base/status.h"

namespace millrace {

namespace json = boost::json;

// Parses a text that is one JSON value. An integer of more than 64 bits becomes the nearest double. Fails with reason
// NOT_JSON and the byte offset of the fault if the text is not JSON, has a duplicate name or a number beyond the
// largest double (1e400), or exceeds `limits`.
StatusOr<json::value> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Parses as ParseJson, but keeps all digits of numbers, however large: the value of a number that is not an integer of
// 64 bits holds its text (server/base/number.h), from which WriteJson writes it unchanged. For items and for what is
// compared with them. REQUIRES: such values are read by the functions of number.h and written by WriteJson;
// json::serialize does not know them.
StatusOr<json::value> ParseExact(std::string_view text, const JsonLimits& limits = {});

// Parses a text that WriteJson wrote, of any depth and size, as ParseExact does; null if the text is not JSON.
json::value ParseOwnJson(std::string_view text);

// Returns the JSON text of a value, without white space and with members in their order. Numbers of ParseExact have
// their characters; doubles are written as ECMAScript does.
std::string WriteJson(const json::value& value);
std::string WriteJson(const json::object& object);

// Returns the value at a path of names joined by dots, in which a number selects an element of an array, counted from
// 0; null if `value` has nothing at that path. A member whose name has dots itself wins over a path: `address.city` is
// the member of that name, if there is one. The returned pointer is valid as long as `value`.
const json::value* FindPath(const json::value& value, std::string_view path);

// Returns the member that the beginning of `path` names, and leaves the rest of the path in `path`; null if there is
// none. Of several members (`a.b`, `a`) it is the one with the longest name.
const json::value* FindMember(const json::object& object, std::string_view& path);

// Longest path in bytes in which names that have dots are found. Such names are searched by trying every beginning.
inline constexpr size_t kDottedPathMax = 256;

}  // namespace millrace
