// One request of the HTTP client while it is in flight: its time limits and its stop signal. For beast_client.cc only.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/base/loop.h"
#include "server/base/stop_signal.h"
#include "server/http/client.h"

namespace millrace {

// It lives in the coroutine of Send; time limits and the stop signal end the request through it.
class RequestInFlight {
 public:
  RequestInFlight(Loop& loop, const HttpLimits& limits) : loop_(loop), limits_(limits) {
    if (limits_.stop != nullptr) stop_watch_.emplace(*limits_.stop, [this] { End("cancelled"); });
  }
  RequestInFlight(const RequestInFlight&) = delete;

  // Sets the function by which End interrupts the current wait.
  void OnEnd(absl::AnyInvocable<void()> interrupt) { interrupt_ = std::move(interrupt); }

  // Ends the request after `duration`, or at the deadline if that is earlier; replaces the previous limit. `what` is
  // the error for that, and must be a literal.
  void Limit(Duration duration, const char* what) {
    const TimePoint now = loop_.Now();
    const bool all = limits_.deadline - now < duration;
    until_ = all ? limits_.deadline : now + duration;
    waits_for_ = all ? kDeadlinePassed : what;
    // Sets a new timer only if the limit moves nearer, because it moves away with nearly every byte.
    if (until_ < fires_at_) SetTimer();
  }

  // Leaves only the deadline, while the sink works.
  void LimitByDeadline() {
    until_ = limits_.deadline;
    waits_for_ = kDeadlinePassed;
    if (until_ < fires_at_) SetTimer();
  }

  bool ended() const { return ended_ != nullptr; }
  bool was_cancelled() const { return limits_.stop != nullptr && limits_.stop->stopped(); }
  // Returns the reason for which End was called; `otherwise` if it was not.
  std::string Why(std::string otherwise) const { return ended_ != nullptr ? ended_ : std::move(otherwise); }

  // Stops the timer and the watch.
  void Finish() {
    timer_.Cancel();
    interrupt_ = nullptr;
    stop_watch_.reset();
  }

 private:
  static constexpr char kDeadlinePassed[] = "the total time limit passed";

  void SetTimer() {
    fires_at_ = until_;
    timer_ = loop_.CallAt(until_, [this] {
      fires_at_ = kNever;
      if (loop_.Now() < until_) return SetTimer();
      End(waits_for_);
    });
  }
  void End(const char* why) {
    if (ended_ == nullptr) ended_ = why;
    if (interrupt_) interrupt_();
  }

  Loop& loop_;
  const HttpLimits& limits_;
  std::optional<StopSignal::Watch> stop_watch_;
  absl::AnyInvocable<void()> interrupt_;
  Loop::Timer timer_;
  TimePoint until_ = kNever;
  TimePoint fires_at_ = kNever;
  const char* waits_for_ = "";
  const char* ended_ = nullptr;
};

}  // namespace millrace
