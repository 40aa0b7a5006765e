// A JSON Schema taken apart for valijson: each schema that is referred to, and each that belongs to a pattern of
// property names, becomes a part of its own without references; constraints of ours stand where the parts were joined.
// So valijson sees trees only, follows no reference, and is never given a pattern.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "server/base/json.h"
#include "server/base/status.h"

namespace millrace {

// Keywords that stand in parts for what was taken out.
inline constexpr char kRefKeyword[] = "x-millrace-ref";                // a part's number
inline constexpr char kPatternKeyword[] = "x-millrace-pattern";        // an RE2 pattern
inline constexpr char kFormatKeyword[] = "x-millrace-format";          // the name of a format
inline constexpr char kPropertiesKeyword[] = "x-millrace-properties";  // {patterns, parts, names, additional}

// The parts of a schema; the first is the whole. INVALID_ARGUMENT (INVALID_FIELD) where a reference leads out of the
// schema or to nothing, a pattern is none, or there are more than 500 parts.
StatusOr<std::vector<json::value>> TakeApart(const json::value& schema);

// The value with `2.0` as `2`: a whole number to JSON Schema, but not to valijson.
json::value WithWholeNumbers(json::value value);

}  // namespace millrace
