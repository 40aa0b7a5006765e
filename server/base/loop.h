// The loop: one thread that takes turns among coroutines, timers and posted functions. In the server it waits for real
// time to pass; in the simulator, when nothing is ready, it moves the clock to the next timer.
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

// Figures of a loop since its start.
struct LoopFigures {
  uint64_t handlers = 0;        // handlers that ran
  Duration handler_cpu_p50{};   // CPU time of one handler, median
  Duration handler_cpu_p999{};  // 99.9th percentile
  Duration handler_cpu_max{};   // the longest
  Duration lag_p50{};           // how late a timer or posted function (no socket's) ran, median
  Duration lag_p999{};          // 99.9th percentile
  Duration cpu{};               // CPU time of all handlers
};

// A loop of its own thread (whoever calls Run). Unless said otherwise, members are for that thread only.
class Loop {
 public:
  // Waits for real time to pass by `clock`.
  explicit Loop(Clock& clock);
  // Moves `clock` to the next timer when nothing is ready. The same inputs give the same order of turns.
  explicit Loop(SimulatedClock& clock);
  ~Loop();
  Loop(const Loop&) = delete;

  Clock& clock() const { return clock_; }
  TimePoint Now() const { return clock_.Now(); }

  // Runs `function` on a later turn, in the order posted, before what sockets have brought. Any thread. After Abandon
  // it is dropped.
  void Post(absl::AnyInvocable<void()> function);

  // Runs `function` when no coroutine is ready, or those that are have had their turns in a row; before sockets, timers
  // and what was posted. For what is better done once for all that happen together.
  void Defer(absl::AnyInvocable<void()> function);

  // Starts a coroutine of its own. An exception that leaves it stops the process: it could only be a bug.
  void Spawn(Task<void> task);

  // Resumes at `time`, or on a later turn where that has passed.
  Task<void> SleepUntil(TimePoint time);
  Task<void> Sleep(Duration duration) { return SleepUntil(Now() + duration); }
  // Lets every other coroutine that was notified, or has yielded, have a turn.
  Task<void> Yield();

  struct TimerTable;

  // A function to be called at a time, unless the handle is destroyed or reset before.
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
    void Cancel();

   private:
    friend class Loop;
    std::shared_ptr<TimerTable> table_;  // null: none
    std::pair<TimePoint, uint64_t> key_{};
  };
  Timer CallAt(TimePoint time, absl::AnyInvocable<void()> function);

  // Takes turns until Stop. With a simulated clock it also ends when nothing is ready and no timer is left.
  void Run();
  // Ends Run after the present turn. Any thread.
  void Stop();
  // Simulated clock only: takes turns until `done` is true; false where nothing was left to do, or `limit` was passed.
  bool RunUntil(const std::function<bool()>& done, TimePoint limit = kNever);
  // Simulated clock only: runs what is ready now, without moving the clock.
  void RunReady();

  // Destroys every suspended coroutine and every pending timer and function without running them: a crash, or the end.
  // What they refer to must still live. Afterwards the loop is dead.
  void Abandon();

  // Any object that talks to Asio (sockets) lives on this context.
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
  std::list<Waiter*> waiters_;  // every suspended Event wait, for Abandon
  std::list<Waiter*> ready_;    // those that were notified, to be resumed before anything else
  std::vector<absl::AnyInvocable<void()>> deferred_;
  int burst_ = 0;  // coroutines resumed in a row; below 0: turns that the others may still have
  int posted_in_a_row_ = 0;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Figuring> figuring_;
  std::atomic<bool> stopped_{false};
};

// Something that coroutines of one loop wait for. It keeps no state: notify when the state that they check has changed.
class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}
  ~Event();
  Event(const Event&) = delete;

  // Resumes after the next Notify. Waiters are resumed in the order in which they came.
  Task<void> Wait();
  // The same; false where `deadline` passed first.
  Task<bool> WaitUntil(TimePoint deadline);

  // Resumes one waiter, or all, on later turns.
  void NotifyOne();
  void NotifyAll();

  size_t waiting() const { return waiting_.size(); }

 private:
  friend class Loop;
  Loop& loop_;
  std::list<Loop::Waiter*> waiting_;
};

// Coroutines with a common parent. The parent must Join before the group is destroyed.
class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop) : loop_(loop), done_(loop) {}
  TaskGroup(const TaskGroup&) = delete;

  void Spawn(Task<void> task);
  // Resumes when none is running.
  Task<void> Join();
  int64_t running() const { return running_; }

 private:
  Task<void> RunOne(Task<void> task);

  Loop& loop_;
  Event done_;
  int64_t running_ = 0;
};

// A value that one coroutine sets once and others wait for. Shared by both sides.
template <typename T>
class Promise {
 public:
  explicit Promise(Loop& loop) : event_(loop) {}

  bool ready() const { return value_.has_value(); }
  void Set(T value) {
    if (value_) return;
    value_.emplace(std::move(value));
    event_.NotifyAll();
  }
  const T& value() const { return *value_; }

  Task<void> Wait() {
    while (!value_) co_await event_.Wait();
  }
  // False where `deadline` passed first; where both are so, the value wins.
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
