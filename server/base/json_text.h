// Limits, numbers and errors of JSON texts, for all that reads them.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// Greatest nesting of arrays and objects in JSON from outside: items, answers, values of a definition.
inline constexpr size_t kOutsideDepthMax = 64;

struct JsonLimits {
  // Greatest nesting of arrays and objects. The default has room for JSON from outside (kOutsideDepthMax) below one
  // level for each of the 100 stages that a pipeline can have.
  size_t depth = 192;
  size_t bytes = 64u << 20;  // largest text
};

// Returns the double nearest to a JSON number; nullopt if `text` is not a number, or is beyond the largest double.
std::optional<double> NearestDouble(std::string_view text);

// Returns the error (NOT_JSON) of a text that is wrong at byte `offset`, counted from 0; `what` says in which way.
Status NotJson(size_t offset, std::string_view what);
// Returns the error (NOT_JSON) of a text that is larger than `limits` allow.
Status JsonTooLarge(size_t size, const JsonLimits& limits);

}  // namespace millrace
