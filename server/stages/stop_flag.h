// Flag that ends a long computation on the pool once nobody waits for it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "server/base/status.h"
#include "server/base/stop_signal.h"

namespace millrace {

// Belongs to the coroutine that awaits the computation. Set when the run is stopped, and when the coroutine ends or is
// destroyed: a server that goes down does not wait for computations. Engine thread.
class StopFlag {
 public:
  // `signal` may be null.
  explicit StopFlag(std::shared_ptr<StopSignal> signal) : signal_(std::move(signal)) {
    if (!signal_) return;
    if (signal_->stopped()) set_->store(true);
    watch_.emplace(*signal_, [set = set_] { set->store(true); });
  }
  StopFlag(const StopFlag&) = delete;
  ~StopFlag() { set_->store(true); }

  // Returns the flag for the computation, which shares it; any thread.
  std::shared_ptr<const std::atomic<bool>> Share() const { return set_; }

 private:
  const std::shared_ptr<std::atomic<bool>> set_ = std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<StopSignal> signal_;
  std::optional<StopSignal::Watch> watch_;
};

// Returns the error of a computation that was stopped.
inline Status StoppedEarly() { return MakeError(Reason::kCancelled, "the run was stopped"); }

}  // namespace millrace
