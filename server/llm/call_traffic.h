// The calls in flight: how many there are, what those of a run wait for, and how they end. Engine thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/clock.h"
#include "server/base/task.h"
#include "server/llm/live_attempts.h"

namespace millrace {

// Time that a drain waits for the store to take answers that were paid, after its patience with calls in flight.
// Together with the 20 s for those this is less than the 90 s that service managers give a process to end.
inline constexpr std::chrono::seconds kStorePatience(40);

class CallTraffic {
 public:
  virtual ~CallTraffic() = default;

  // Number of calls that wait for a slot, and of attempts in flight.
  virtual int64_t waiting() const = 0;
  virtual int64_t in_flight() const = 0;
  // A failing target that calls of a run wait for.
  struct FailingTarget {
    std::string name;      // `backend/model`; empty: none
    std::string error;     // the newest one
    std::string progress;  // of the pull of its model; empty: it is not being pulled, and fails
  };
  virtual FailingTarget FindFailing(std::string_view run) const = 0;
  // The call of a run that has waited longest for a limit of a target.
  struct WaitingCall {
    std::string target;        // `backend/model`; empty: none waits
    std::string limit;         // Admission::name
    std::string text;          // the limit for people: `slot: 8 of 8 in use`
    TimePoint since{};         // when the call began to wait
    TimePoint until = kNever;  // when the limit lets an attempt begin; kNever: when an attempt has ended
    int64_t place = 0;         // grants of the target until its own, as things stand: 1 is the next
    int64_t waiting = 0;       // calls that wait for the target, of all runs
  };
  virtual WaitingCall FindWaiting(const std::string& run) const = 0;
  // Returns the attempts that a run pays for and that its stored counts do not have yet. Looks at each call in flight.
  virtual AttemptsByStage FindAttempts(std::string_view run) const = 0;

  // Starts no new attempt from now on. Resumes when the attempts in flight have ended and are stored, or at `deadline`;
  // kStorePatience later if answers are received by then that the store has not taken yet.
  virtual Task<void> Drain(TimePoint deadline) = 0;
  // Calls that are not done: after a drain, what it leaves.
  struct Unfinished {
    int64_t answers = 0;  // received, not stored: they would have to be paid again
    int64_t calls = 0;    // the others in flight
  };
  virtual Unfinished FindUnfinished() const { return {}; }
};

}  // namespace millrace
