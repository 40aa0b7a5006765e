// Splits a JSON Schema into parts for valijson: each schema that a reference names, and each that belongs to a pattern
// of property names, becomes a separate part without references. Constraints of ours join the parts. So valijson sees
// trees only, follows no reference and never gets a pattern.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "server/base/json.h"
#include "server/base/status.h"

namespace millrace {

// Keywords in parts that replace those of the schema.
inline constexpr char kRefKeyword[] = "x-millrace-ref";                // number of a part
inline constexpr char kPatternKeyword[] = "x-millrace-pattern";        // an RE2 pattern
inline constexpr char kFormatKeyword[] = "x-millrace-format";          // the name of a format
inline constexpr char kPropertiesKeyword[] = "x-millrace-properties";  // {patterns, parts, names, additional}
inline constexpr char kUniqueKeyword[] = "x-millrace-unique";          // true
inline constexpr char kExactKeyword[] = "x-millrace-exact";            // JSON text of the keywords for ExactRules

// Returns the parts of a schema, a value from ParseExact; the first is the schema itself. INVALID_FIELD if a reference
// names another document or a place that does not exist, a pattern is not one of RE2 or is too large, or the schema has
// more than 500 parts or, with its references resolved, more than 200,000 values.
StatusOr<std::vector<json::value>> TakeApart(const json::value& schema);

// Returns the number of values in a value, itself among them; each 64 bytes of text count as one more.
size_t CountValues(const json::value& value);

}  // namespace millrace
