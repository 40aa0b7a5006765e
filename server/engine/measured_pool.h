// A pool that counts the CPU time of the work given to it.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "server/base/pool.h"

namespace millrace {

class MeasuredPool final : public Pool {
 public:
  // Runs the work on `pool`. `cpu_time` returns the CPU time that the calling thread has used; empty: nothing is
  // counted.
  MeasuredPool(Pool& pool, std::function<Duration()> cpu_time);

  void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override;

  // Returns the CPU time of the work that ended since the last call. Engine thread.
  Duration TakeSpent() { return std::exchange(*spent_, Duration(0)); }

 private:
  Pool& pool_;
  const std::function<Duration()> cpu_time_;
  const std::shared_ptr<Duration> spent_ = std::make_shared<Duration>(0);  // shared with work, which may outlive this
};

}  // namespace millrace
