// A pool that keeps how much CPU time the work given to it took.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "server/base/pool.h"

namespace millrace {

class MeasuredPool final : public Pool {
 public:
  // Works on `pool`. `cpu_time`: CPU time of the thread that calls it so far; empty: nothing is measured.
  MeasuredPool(Pool& pool, std::function<Duration()> cpu_time);

  void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override;

  // What ended since the last call of this took.
  Duration TakeSpent() { return std::exchange(*spent_, Duration(0)); }

 private:
  Pool& pool_;
  const std::function<Duration()> cpu_time_;
  const std::shared_ptr<Duration> spent_ = std::make_shared<Duration>(0);  // outlives the pool where work does
};

}  // namespace millrace
