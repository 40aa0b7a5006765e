// Keys of inputs that clients send.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/storage/runs.h"

namespace millrace {

std::string InputStateKey(std::string_view run, std::string_view stage);
// The part that begins at `offset` (items or bytes).
std::string InputKey(std::string_view run, std::string_view stage, int64_t offset);
// Parts that begin at or after `first` and before `before`.
KeyRange InputKeys(std::string_view run, std::string_view stage, int64_t first, int64_t before = INT64_MAX);

}  // namespace millrace
