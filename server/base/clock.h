// Time as an argument: nothing else in the project asks what time it is.
#pragma once

#include <chrono>
#include <cstdint>

namespace millrace {

using Duration = std::chrono::nanoseconds;

// A source of time. Points of its steady clock are TimePoints: only their differences mean something.
class Clock {
 public:
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock, duration>;
  static constexpr bool is_steady = true;

  virtual ~Clock() = default;

  // The steady clock. Any thread.
  virtual time_point Now() const = 0;

  // Microseconds since 1970-01-01 UTC. May jump: only shown, stored, and compared with a TTL. Any thread.
  virtual int64_t WallMicros() const = 0;
};

using TimePoint = Clock::time_point;

inline constexpr TimePoint kNever = TimePoint::max();

// The machine's clocks.
class SystemClock final : public Clock {
 public:
  time_point Now() const override;
  int64_t WallMicros() const override;
};

// A clock that stands still until it is moved. One thread.
class SimulatedClock final : public Clock {
 public:
  // `wall_micros` is the wall time at steady time 0.
  explicit SimulatedClock(int64_t wall_micros = 1'600'000'000'000'000) : wall_offset_micros_(wall_micros) {}

  time_point Now() const override { return now_; }
  int64_t WallMicros() const override;

  // Never moves backwards.
  void AdvanceTo(TimePoint time);
  void Advance(Duration by) { AdvanceTo(now_ + by); }

  // A jump of the wall clock alone, as by NTP or an operator.
  void JumpWall(Duration by);

 private:
  TimePoint now_{};
  int64_t wall_offset_micros_;
};

}  // namespace millrace
