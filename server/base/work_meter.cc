#include "server/base/work_meter.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <utility>

namespace millrace {
namespace {

// Steps between two looks at the clock of the thread, which is a system call of about 0.3 µs.
constexpr int64_t kStepsBetweenLooks = 20'000;

thread_local WorkMeter* current = nullptr;
thread_local const std::atomic<bool>* waiter_gone = nullptr;

bool IsSet(const std::atomic<bool>* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

}  // namespace

WorkMeter::WorkMeter(WorkLimits limits, const std::atomic<bool>* stop)
    : limits_(limits),
      outer_(std::exchange(current, this)),
      stop_(stop),
      begun_(limits.cpu == Duration::max() ? Duration(0) : ThreadCpu()) {
  if (limits_.bytes == 0) limits_.bytes = outer_ == nullptr ? SIZE_MAX : outer_->limits_.bytes;
}

WorkMeter::~WorkMeter() { current = outer_; }

Duration WorkMeter::ThreadCpu() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

WorkMeter* WorkMeter::Current() { return current; }

bool WorkMeter::Stopped() const {
  if (IsSet(waiter_gone)) return true;
  for (const WorkMeter* meter = this; meter != nullptr; meter = meter->outer_) {
    if (IsSet(meter->stop_)) return true;
  }
  return false;
}

bool WorkMeter::Spend(int64_t steps) {
  if (!status_.ok()) return false;
  steps_ += steps;
  until_look_ -= steps;
  if (steps_ > limits_.steps) {
    End(MakeError(limits_.reason, fmt::format("{} takes more than {} steps", limits_.name, limits_.steps)));
    return false;
  }
  if (until_look_ > 0) return true;
  until_look_ = kStepsBetweenLooks;
  if (Stopped()) {
    End(MakeError(Reason::kCancelled, fmt::format("{} was stopped", limits_.name)));
  } else if (limits_.cpu != Duration::max() && ThreadCpu() - begun_ > limits_.cpu) {
    End(MakeError(limits_.reason,
                  fmt::format("{} takes more than {} ms of CPU time", limits_.name,
                              std::chrono::duration_cast<std::chrono::milliseconds>(limits_.cpu).count())));
  }
  return status_.ok();
}

void WorkMeter::End(Status why) {
  if (status_.ok()) status_ = std::move(why);
}

WorkMeter::Waiter::Waiter(const std::atomic<bool>& gone) : before_(std::exchange(waiter_gone, &gone)) {}
WorkMeter::Waiter::~Waiter() { waiter_gone = before_; }

bool SpendWork(int64_t steps) { return current == nullptr || current->Spend(steps); }

Status WorkStatus() { return current == nullptr ? absl::OkStatus() : current->status(); }

}  // namespace millrace
