#include "server/engine/measured_pool.h"

namespace millrace {

MeasuredPool::MeasuredPool(Pool& pool, std::function<Duration()> cpu_time)
    : pool_(pool), cpu_time_(std::move(cpu_time)) {}

void MeasuredPool::Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) {
  if (!cpu_time_) return pool_.Submit(std::move(work), std::move(done));
  const auto took = std::make_shared<Duration>(0);
  absl::AnyInvocable<void()> measured = [took, cpu_time = cpu_time_, work = std::move(work)]() mutable {
    const Duration begin = cpu_time();
    work();
    *took = cpu_time() - begin;
  };
  absl::AnyInvocable<void()> counted = [took, spent = spent_, done = std::move(done)]() mutable {
    *spent += *took;
    done();
  };
  pool_.Submit(std::move(measured), std::move(counted));
}

}  // namespace millrace
