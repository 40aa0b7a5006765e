// Work that blocks or computes for long, off the loop: pure functions of values.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/base/task.h"

namespace millrace {

// Runs functions elsewhere. Called on the loop's thread.
class Pool {
 public:
  virtual ~Pool() = default;

  // Runs `work` off the loop, then `done` on the loop. Begun in the order submitted. `work` must not throw.
  virtual void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) = 0;
};

// What an exception becomes where its result can be an error; elsewhere it ends the process.
template <typename F>
std::invoke_result_t<F> Guarded(F& function) {
  if constexpr (std::is_convertible_v<Status, std::invoke_result_t<F>>) {
    try {
      return function();
    } catch (const std::exception& error) {
      return Status(absl::StatusCode::kInternal, error.what());
    }
  } else {
    return function();
  }
}

// Awaits `function()` on the pool. A function that outlives its caller must own what it uses.
template <typename F>
Task<std::invoke_result_t<F>> Compute(Loop& loop, Pool& pool, F function) {
  using Result = std::invoke_result_t<F>;
  auto promise = std::make_shared<Promise<bool>>(loop);
  auto result = std::make_shared<std::optional<Result>>();
  // Named: GCC 12 would destroy them twice as temporaries.
  absl::AnyInvocable<void()> work = [result, function = std::move(function)]() mutable {
    result->emplace(Guarded(function));
  };
  absl::AnyInvocable<void()> done = [promise] { promise->Set(true); };
  pool.Submit(std::move(work), std::move(done));
  co_await promise->Wait();
  co_return std::move(**result);
}

// `threads` threads. `done` is posted to `loop`. Its destructor ends what has begun and drops the rest.
std::unique_ptr<Pool> MakeThreadPool(Loop& loop, int threads);

// Runs the work at once on the loop's thread, and resumes `cost` later by the loop's clock: for the simulator.
std::unique_ptr<Pool> MakeInlinePool(Loop& loop, Duration cost = Duration(0));

}  // namespace millrace
