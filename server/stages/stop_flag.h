// Tells a long computation on the pool that nobody waits for it any more.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "server/base/status.h"
#include "server/llm/call.h"

namespace millrace {

// Held by the coroutine that awaits the computation; engine thread. Set when the run is stopped, and when the coroutine
// ends or is destroyed (a server that goes down does not wait for what is computed).
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

  // What the computation reads, and owns a share of; any thread.
  std::shared_ptr<const std::atomic<bool>> Share() const { return set_; }

 private:
  const std::shared_ptr<std::atomic<bool>> set_ = std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<StopSignal> signal_;
  std::optional<StopSignal::Watch> watch_;
};

// How a computation ends that was stopped.
inline Status StoppedEarly() { return MakeError(Reason::kCancelled, "the run was stopped"); }

}  // namespace millrace
