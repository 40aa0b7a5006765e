#include "server/llm/target_info.h"

#include <string>

#include "server/base/duration.h"

namespace millrace {
namespace {

v1::TargetState StateOf(const Target& target, TimePoint now) {
  if (target.is_breaker_open()) return v1::TARGET_STATE_BREAKER_OPEN;
  if (target.preparation().holds()) return v1::TARGET_STATE_PREPARING;
  if (target.IsSuspected(now)) return v1::TARGET_STATE_FAILING;
  if (target.UnavailableUntil(now) > now) return v1::TARGET_STATE_PAUSED;
  return target.is_failing() ? v1::TARGET_STATE_FAILING : v1::TARGET_STATE_OK;
}

void SetTime(google::protobuf::Timestamp& time, const Clock& clock, TimePoint at) {
  const int64_t micros =
      clock.WallMicros() + std::chrono::duration_cast<std::chrono::microseconds>(at - clock.Now()).count();
  time.set_seconds(micros / 1'000'000);
  time.set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
}

}  // namespace

v1::TargetInfo InfoOf(const Target& target, const Clock& clock) {
  const TimePoint now = clock.Now();
  v1::TargetInfo info;
  info.set_backend(target.entry().name);
  info.set_model(target.model());
  info.set_max_concurrency(target.concurrency_limit());
  info.set_in_flight(target.in_flight());
  info.set_waiting(target.waiting());
  info.set_waits_for(std::string(target.WaitsFor({}, now).name));
  info.set_state(StateOf(target, now));
  if (const TimePoint until = target.UnavailableUntil(now); until > now && until != kNever) {
    SetTime(*info.mutable_available_time(), clock, until);
  }
  if (target.is_failing()) {
    info.set_error(target.newest_error());
  } else if (target.IsSuspected(now)) {
    info.set_error("it takes calls and sends nothing");
  }
  return info;
}

}  // namespace millrace
