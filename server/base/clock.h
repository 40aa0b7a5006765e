// Clocks. Code that needs the time takes a Clock as an argument; nothing else in the project reads the machine's
// clocks, so that the simulator can replay a run. (work_meter.h reads the CPU time of a thread, to end runaway work.)
#pragma once

#include <chrono>
#include <cstdint>

namespace millrace {

using Duration = std::chrono::nanoseconds;

// Source of time. TimePoints are points of its steady clock, whose origin is arbitrary: only differences between them
// have a meaning.
class Clock {
 public:
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock, duration>;
  static constexpr bool is_steady = true;

  virtual ~Clock() = default;

  // Returns the steady time. Any thread.
  virtual time_point Now() const = 0;

  // Returns microseconds since 1970-01-01 UTC. May jump in both directions, so use it only to show, to store and to
  // compare with a TTL. Any thread.
  virtual int64_t WallMicros() const = 0;
};

using TimePoint = Clock::time_point;

inline constexpr TimePoint kNever = TimePoint::max();

// The machine's steady clock and wall clock.
class SystemClock final : public Clock {
 public:
  time_point Now() const override;
  int64_t WallMicros() const override;
};

// Clock whose time changes only by calls of its methods. One thread.
class SimulatedClock final : public Clock {
 public:
  // `wall_micros` is the wall time at steady time 0.
  explicit SimulatedClock(int64_t wall_micros = 1'600'000'000'000'000) : wall_offset_micros_(wall_micros) {}

  time_point Now() const override { return now_; }
  int64_t WallMicros() const override;

  // Moves both clocks forward to `time`; does nothing if `time` has passed.
  void AdvanceTo(TimePoint time);
  void Advance(Duration by) { AdvanceTo(now_ + by); }

  // Moves the wall clock alone, in either direction, as NTP or an operator does.
  void JumpWall(Duration by);

 private:
  TimePoint now_{};
  int64_t wall_offset_micros_;
};

}  // namespace millrace
