#include "server/engine/measured_pool.h"

#include <chrono>

namespace millrace {
namespace {

// A work that takes longer keeps others waiting who need a thread for a moment.
constexpr Duration kLong = std::chrono::milliseconds(50);

}  // namespace

MeasuredPool::MeasuredPool(Pool& pool, Pool& slow, std::function<Duration()> cpu_time)
    : pool_(pool), slow_(slow), cpu_time_(std::move(cpu_time)) {}

void MeasuredPool::Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) {
  if (!cpu_time_) return pool_.Submit(std::move(work), std::move(done));
  const auto took = std::make_shared<Duration>(0);
  absl::AnyInvocable<void()> measured = [took, cpu_time = cpu_time_, work = std::move(work)]() mutable {
    const Duration begin = cpu_time();
    work();
    *took = cpu_time() - begin;
  };
  absl::AnyInvocable<void()> counted = [took, spent = spent_, done = std::move(done)]() mutable {
    spent->cpu += *took;
    spent->is_slow = *took > kLong;
    done();
  };
  Pool& pool = spent_->is_slow ? slow_ : pool_;
  pool.Submit(std::move(measured), std::move(counted));
}

}  // namespace millrace
