// A pool that counts the CPU time of the work given to it, and moves work that takes long to another pool.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "server/base/pool.h"

namespace millrace {

class MeasuredPool final : public Pool {
 public:
  // Runs the work on `pool` while it takes little time, and on `slow` at first and after a work that took long, so that
  // a stage whose work is expensive shares its threads only with others of this kind. `cpu_time` returns the CPU time
  // that the calling thread has used; empty: nothing is counted, and all work runs on `pool`.
  MeasuredPool(Pool& pool, Pool& slow, std::function<Duration()> cpu_time);

  void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override;

  // Returns the CPU time of the work that ended since the last call. Engine thread.
  Duration TakeSpent() { return std::exchange(spent_->cpu, Duration(0)); }

 private:
  struct Spent {
    Duration cpu{0};
    bool is_slow = true;  // the newest work took long, or none has ended yet
  };

  Pool& pool_;
  Pool& slow_;
  const std::function<Duration()> cpu_time_;
  const std::shared_ptr<Spent> spent_ = std::make_shared<Spent>();  // shared with work, which may outlive this
};

}  // namespace millrace
