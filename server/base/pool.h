// Pool: runs functions that block or compute for long off the loop's thread. They use only values that they own.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/base/work_meter.h"

namespace millrace {

// Runs functions off the loop's thread. Its methods are for the loop's thread.
class Pool {
 public:
  virtual ~Pool() = default;

  // Runs `work` on a thread of the pool, then `done` on the loop. Works begin in the order of submission; the queue is
  // unbounded. `work` must not throw.
  virtual void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) = 0;
};

// Returns `function()`. An exception becomes an INTERNAL error if the result type can hold a Status; otherwise it
// leaves this function, which aborts the process on a pool's thread.
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

// Runs `function` on the pool and resumes with its result. The function runs to its end even if the caller is
// destroyed, so it must own everything that it uses; work that asks its meter (work_meter.h) ends early then.
template <typename F>
Task<std::invoke_result_t<F>> Compute(Loop& loop, Pool& pool, F function) {
  using Result = std::invoke_result_t<F>;
  struct Shared {
    std::optional<Result> result;
    std::atomic<bool> gone{false};  // the caller was destroyed
  };
  struct Caller {
    explicit Caller(std::shared_ptr<Shared> its) : shared(std::move(its)) {}
    ~Caller() { shared->gone.store(true, std::memory_order_relaxed); }
    std::shared_ptr<Shared> shared;
  };
  auto promise = std::make_shared<Promise<bool>>(loop);
  const Caller caller(std::make_shared<Shared>());
  // Named: GCC 12 would destroy them twice as temporaries.
  absl::AnyInvocable<void()> work = [shared = caller.shared, function = std::move(function)]() mutable {
    const WorkMeter::Waiter waiter(shared->gone);
    shared->result.emplace(Guarded(function));
  };
  absl::AnyInvocable<void()> done = [promise] { promise->Set(true); };
  pool.Submit(std::move(work), std::move(done));
  co_await promise->Wait();
  co_return std::move(*caller.shared->result);
}

// Returns a pool of `threads` threads, which posts each `done` to `loop`. Its destructor waits for works that have
// begun and drops those that have not.
std::unique_ptr<Pool> MakeThreadPool(Loop& loop, int threads);

// Returns a pool for the simulator: it runs `work` at once on the loop's thread, and `done` after `cost` by the loop's
// clock.
std::unique_ptr<Pool> MakeInlinePool(Loop& loop, Duration cost = Duration(0));

}  // namespace millrace
