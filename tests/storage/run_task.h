// Runs one coroutine to its end and returns what it returned.
#pragma once

#include <optional>
#include <utility>

#include "server/base/loop.h"

namespace millrace {

template <typename T>
Task<void> KeepResult(Loop& loop, Task<T> task, std::optional<T>& result) {
  result.emplace(co_await std::move(task));
  loop.Stop();
}

// Takes turns on a loop of either kind until `task` has returned.
template <typename T>
T RunTask(Loop& loop, Task<T> task) {
  std::optional<T> result;
  loop.Spawn(KeepResult(loop, std::move(task), result));
  loop.Run();
  return *std::move(result);
}

}  // namespace millrace
