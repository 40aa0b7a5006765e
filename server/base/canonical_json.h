// The canonical form of JSON, over which digests are computed (docs/formats.md).
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "server/base/json_text.h"

namespace millrace {

namespace json = boost::json;

// Returns the canonical form of a JSON text: RFC 8785 (no white space, members sorted by UTF-16 code units, numbers as
// ECMAScript prints them), except that numbers keep all their digits, however many: different numbers have different
// forms, and `1.0`, `1` and `1e0` have one. Fails for the texts for which ParseExact fails, with the same errors. Takes
// about 1 µs for 200 bytes.
StatusOr<std::string> CanonicalJson(std::string_view text, const JsonLimits& limits = {});

// Returns the canonical form of a parsed value. It is that of its text if the value is from ParseExact; from ParseJson,
// it is the same only if every number is an integer of 64 bits or a double.
std::string CanonicalJson(const json::value& value);

// Appends `text` as a JSON string with its quotes, in canonical form. REQUIRES: `text` is UTF-8.
void AppendJsonString(std::string_view text, std::string& out);

}  // namespace millrace
