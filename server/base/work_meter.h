// Bounds of a computation on input from outside: steps, CPU time, bytes, and a flag that ends it. The length of a text
// is not its cost, so code that may take long asks the meter of its thread at every round whether it may continue.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace {

// Limits of a piece of work.
struct WorkLimits {
  int64_t steps = INT64_MAX;         // about 10 ns each; the same input takes the same number on every machine
  Duration cpu = Duration::max();    // CPU time of the thread
  size_t bytes = 0;                  // largest result in bytes; 0: that of the meter around this one
  const char* name = "the work";     // subject of the errors, such as "the rules"
  Reason reason = Reason::kBadItem;  // of the error if a limit is reached
};

// Meter of one piece of work, such as an item, an answer or a definition. From its construction to its destruction it
// is the meter of its thread, on which both happen. Meters nest: the inner one counts until it is destroyed, and a flag
// of an outer one ends the inner work, too.
class WorkMeter {
 public:
  // `stop` ends the work when another thread sets it; may be null. It must outlive the meter.
  explicit WorkMeter(WorkLimits limits, const std::atomic<bool>* stop = nullptr);
  ~WorkMeter();
  WorkMeter(const WorkMeter&) = delete;

  // Returns the innermost meter of this thread; null if it has none.
  static WorkMeter* Current();

  // Counts steps. Returns false if the work must end: a limit is reached or a flag is set. It stays false.
  bool Spend(int64_t steps);
  // Ends the work with an error, for example because a pattern is too large for a text.
  void End(Status why);
  // OK while the work may continue. Else CANCELLED (CANCELLED) if a flag was set, an error of the limits' reason if a
  // limit was reached, or the error of End.
  const Status& status() const { return status_; }
  // Returns the largest result in bytes; SIZE_MAX if no meter has a limit.
  size_t bytes_max() const { return limits_.bytes; }

  // Returns the CPU time that this thread has used.
  static Duration ThreadCpu();

  // Flag that ends all work of this thread while it lives: whoever waits for the work has gone.
  class Waiter {
   public:
    explicit Waiter(const std::atomic<bool>& gone);
    ~Waiter();
    Waiter(const Waiter&) = delete;

   private:
    const std::atomic<bool>* const before_;
  };

 private:
  bool Stopped() const;

  WorkLimits limits_;
  WorkMeter* const outer_;
  const std::atomic<bool>* const stop_;
  const Duration begun_;  // CPU time of the thread
  int64_t steps_ = 0;
  int64_t until_look_ = 0;  // steps until the clock is read again
  Status status_;
};

// Counts steps on the meter of this thread. Returns false if the work must end; true if the thread has no meter.
bool SpendWork(int64_t steps);
// Returns the error that ended the work of this thread; OK if it may continue.
Status WorkStatus();

}  // namespace millrace
