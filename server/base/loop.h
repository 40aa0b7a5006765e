// Event loop: one thread that takes turns among coroutines, timers, posted functions and sockets. In the server it
// waits for real time to pass; in the simulator it moves the clock to the next timer when nothing is ready.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"

namespace boost::asio {
class io_context;
}

namespace millrace {

class Event;

// Measurements of a loop since its start. All are 0 with a simulated clock.
struct LoopFigures {
  uint64_t handlers = 0;        // handlers that ran
  Duration handler_cpu_p50{};   // CPU time of one handler, median
  Duration handler_cpu_p999{};  // 99.9th percentile
  Duration handler_cpu_max{};   // the longest
  Duration lag_p50{};           // delay of timers and posted functions behind their time, without sockets; median
  Duration lag_p999{};          // 99.9th percentile
  Duration cpu{};               // CPU time of all handlers
};

// Event loop of the thread that calls Run, the loop's thread (in the server: the engine thread). Members are for that
// thread only unless their comments say otherwise.
class Loop {
 public:
  // Makes a loop that waits for real time to pass. `clock` must run at the pace of the machine's steady clock.
  explicit Loop(Clock& clock);
  // Makes a loop that moves `clock` to the next timer when nothing is ready. Equal inputs give the same order of turns.
  explicit Loop(SimulatedClock& clock);
  ~Loop();
  Loop(const Loop&) = delete;

  Clock& clock() const { return clock_; }
  TimePoint Now() const { return clock_.Now(); }

  // Runs `function` on a later turn, in the order posted, before events of sockets. Drops it after Abandon. Any thread.
  void Post(absl::AnyInvocable<void()> function);

  // Runs `function` once, on a later turn: as soon as no coroutine is ready, or when ready coroutines have had 16 turns
  // in a row; before timers, posted functions and sockets. Use it to do a thing once for many events that happen
  // together.
  void Defer(absl::AnyInvocable<void()> function);

  // Starts `task` as an independent coroutine. An exception that leaves it aborts the process: it can only be a bug.
  void Spawn(Task<void> task);

  // Resumes at `time`, or on a later turn if that has passed.
  Task<void> SleepUntil(TimePoint time);
  // Resumes after `duration`.
  Task<void> Sleep(Duration duration) { return SleepUntil(Now() + duration); }
  // Resumes after every other coroutine that was notified or has yielded has had a turn.
  Task<void> Yield();

  struct TimerTable;

  // Handle of a call at a point in time. The call is cancelled if the handle is destroyed, overwritten or cancelled
  // first.
  class Timer {
   public:
    Timer() = default;
    Timer(Timer&& other) noexcept { *this = std::move(other); }
    Timer& operator=(Timer&& other) noexcept {
      Cancel();
      table_ = std::exchange(other.table_, nullptr);
      key_ = other.key_;
      return *this;
    }
    ~Timer() { Cancel(); }
    // Drops the function; does nothing if it has run.
    void Cancel();

   private:
    friend class Loop;
    std::shared_ptr<TimerTable> table_;  // null if the handle has no call
    std::pair<TimePoint, uint64_t> key_{};
  };
  // Calls `function` on the first turn at or after `time`, while the returned handle lives.
  Timer CallAt(TimePoint time, absl::AnyInvocable<void()> function);

  // Takes turns until Stop. With a simulated clock, returns also when nothing is ready and no timer is left.
  void Run();
  // Makes Run return after the current turn; makes the next Run return at once if none is running. Any thread.
  void Stop();
  // Takes turns until `done` returns true. Returns false if nothing was left to do, or the next timer is after `limit`.
  // REQUIRES: a simulated clock.
  bool RunUntil(const std::function<bool()>& done, TimePoint limit = kNever);
  // Takes turns until nothing is ready, without moving the clock. REQUIRES: a simulated clock.
  void RunReady();

  // Destroys every suspended coroutine and every pending timer and function without running them, as a crash would.
  // Objects that they refer to must still be alive. Afterwards the loop drops everything that is posted or spawned.
  void Abandon();

  // Returns the Asio context of this loop, for sockets. Valid until Abandon.
  boost::asio::io_context& context() { return *context_; }

  LoopFigures Figures() const;

 private:
  friend class Event;
  struct Waiter;
  struct Inbox;
  struct Figuring;

  bool RunNextReady();
  bool RunDeferred();
  bool RunNextTimer();
  bool RunNextPosted();
  bool RunNextOfContext();
  bool RunNext();
  bool Wait();
  std::optional<TimePoint> NextTimer() const;

  Clock& clock_;
  SimulatedClock* const simulated_;
  std::shared_ptr<boost::asio::io_context> context_;
  std::shared_ptr<TimerTable> timers_;
  std::list<Waiter*> waiters_;  // every suspended wait for an Event, for Abandon
  std::list<Waiter*> ready_;    // notified waits and yields, resumed before anything else
  std::vector<absl::AnyInvocable<void()>> deferred_;
  // At least 0: coroutines resumed in a row. Below 0: the other sources have the next -burst_ turns.
  int burst_ = 0;
  int posted_in_a_row_ = 0;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Figuring> figuring_;
  std::atomic<bool> stopped_{false};
};

// Condition variable for coroutines of one loop. It has no state: change the state that the waiters check, then notify.
// If it is destroyed while coroutines wait, they stay suspended until Loop::Abandon destroys them.
class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}
  ~Event();
  Event(const Event&) = delete;

  // Resumes after the next notification. Waits end in the order in which they began.
  Task<void> Wait();
  // Resumes after the next notification (true) or at `deadline` (false), whichever comes first.
  Task<bool> WaitUntil(TimePoint deadline);

  // Resumes the longest wait, on a later turn.
  void NotifyOne();
  // Resumes all waits that have begun, on later turns.
  void NotifyAll();

  // Returns the number of waits that have not been notified.
  size_t waiting() const { return waiting_.size(); }

 private:
  friend class Loop;
  Loop& loop_;
  std::list<Loop::Waiter*> waiting_;
};

// Coroutines with a common parent. REQUIRES: the parent awaits Join before it destroys the group.
class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop) : loop_(loop), done_(loop) {}
  TaskGroup(const TaskGroup&) = delete;

  void Spawn(Task<void> task);
  // Resumes when no coroutine of the group is running.
  Task<void> Join();
  int64_t running() const { return running_; }

 private:
  Task<void> RunOne(Task<void> task);

  Loop& loop_;
  Event done_;
  int64_t running_ = 0;
};

// A value that one coroutine sets once and others wait for. Both sides own it together, by shared_ptr, or its owner
// outlives both.
template <typename T>
class Promise {
 public:
  explicit Promise(Loop& loop) : event_(loop) {}

  bool ready() const { return value_.has_value(); }
  // Sets the value and resumes the waits on later turns; does nothing if the value is set.
  void Set(T value) {
    if (value_) return;
    value_.emplace(std::move(value));
    event_.NotifyAll();
  }
  // Returns the value. REQUIRES: ready().
  const T& value() const { return *value_; }

  // Resumes when the value is set; at once if it is.
  Task<void> Wait() {
    while (!value_) co_await event_.Wait();
  }
  // Resumes when the value is set (true) or at `deadline` (false). Returns true if both have happened by then.
  Task<bool> WaitUntil(TimePoint deadline) {
    while (!value_) {
      if (const bool held = co_await event_.WaitUntil(deadline); !held) co_return value_.has_value();
    }
    co_return true;
  }

 private:
  Event event_;
  std::optional<T> value_;
};

}  // namespace millrace
