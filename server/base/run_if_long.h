// The choice between the loop's thread and the pool, by the size of the work.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "server/base/pool.h"

namespace millrace {

// Bytes up to which work is done on the loop's thread at once: a hop to the pool and back costs more than so much takes
// to parse. A longer turn would delay every other coroutine.
inline constexpr size_t kInlineBytesMax = 64u << 10;

// Awaits `function()`, which works on `bytes` bytes: at once on the loop's thread if they are at most kInlineBytesMax,
// else on the pool. As for Compute, the function must own what it uses.
template <typename F>
Task<std::invoke_result_t<F>> RunIfLong(Loop& loop, Pool& pool, size_t bytes, F function) {
  if (bytes <= kInlineBytesMax) co_return Guarded(function);
  co_return co_await Compute(loop, pool, std::move(function));
}

}  // namespace millrace
