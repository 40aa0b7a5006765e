// Keys of inputs that clients send.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/storage/runs.h"

namespace millrace {

// Returns the key of an input's state.
std::string InputStateKey(std::string_view run, std::string_view stage);
// Returns the key of the part of an input that begins at `offset` (a number of items or bytes).
std::string InputKey(std::string_view run, std::string_view stage, int64_t offset);
// Returns the keys of the parts that begin in [first, before).
KeyRange InputKeys(std::string_view run, std::string_view stage, int64_t first, int64_t before = INT64_MAX);

}  // namespace millrace
