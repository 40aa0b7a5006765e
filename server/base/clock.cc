#include "server/base/clock.h"

namespace millrace {

Clock::time_point SystemClock::Now() const {
  return time_point(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

int64_t SystemClock::WallMicros() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int64_t SimulatedClock::WallMicros() const {
  return wall_offset_micros_ + std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch()).count();
}

void SimulatedClock::AdvanceTo(TimePoint time) {
  if (time > now_) now_ = time;
}

void SimulatedClock::JumpWall(Duration by) {
  wall_offset_micros_ += std::chrono::duration_cast<std::chrono::microseconds>(by).count();
}

}  // namespace millrace
