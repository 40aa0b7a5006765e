// Where the engine's thread stops doing work itself: what is longer is parsed, checked and encoded on the pool.
#pragma once

#include <cstddef>

namespace millrace {

constexpr size_t kInlineBytesMax = 64u << 10;

}  // namespace millrace
