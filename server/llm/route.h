// The routes of one call: which are excluded, and when each can be retried.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/base/clock.h"
#include "server/llm/blockage.h"
#include "server/llm/queue.h"
#include "server/llm/refusals.h"
#include "server/llm/target.h"

namespace millrace {

// One route of one call.
class RouteState {
 public:
  explicit RouteState(const Route& route) : route_(&route) {}

  Target& target() const { return *route_->target; }
  const Route& route() const { return *route_; }

  // Excluded: its target would give the same answer or failure again.
  bool is_excluded() const { return is_excluded_; }
  void Exclude() { is_excluded_ = true; }

  // The failure that only a human can repair, if the newest one is: the target refuses all calls.
  const std::optional<backend::Failure>& blocking() const { return blocking_; }
  // Returns when this call's back-off from the route is over.
  TimePoint not_before() const { return not_before_; }
  // Returns whether the call failed here since it was last answered here.
  bool is_retry() const { return failures_ > 0; }

  void CountAnswer() {
    failures_ = 0;
    blocking_.reset();
    refusals_ = Refusals();
  }
  void CountFailure() {
    ++failures_;
    blocking_.reset();
  }
  // Counts a failure that only a human can repair, if it is the target's.
  Refusals::Fault CountRefusal(int64_t attempt, int32_t max_attempts) {
    return refusals_.Count(*route_->target, attempt, max_attempts);
  }
  void Block(const backend::Failure& failure) { blocking_ = failure; }
  void BackOff(TimePoint until) { not_before_ = until; }

 private:
  const Route* route_;
  bool is_excluded_ = false;
  std::optional<backend::Failure> blocking_;
  Refusals refusals_;
  int32_t failures_ = 0;  // in a row
  TimePoint not_before_{};
};

// The routes of one call, in the order of its alias.
class RouteStates {
 public:
  explicit RouteStates(const std::vector<Route>& routes) : states_(routes.begin(), routes.end()) {}

  size_t size() const { return states_.size(); }
  RouteState& operator[](size_t index) { return states_[index]; }

  bool HasAnyLeft() const;
  // Returns the targets that are left if a human must repair each of them; else nothing.
  std::vector<Blockage> Blockages() const;
  // Returns the route of a target that is not excluded.
  size_t IndexOf(const Target& target) const;

  // Targets that the call may go to now. A busy target (no slot, a rate) is available; one that asked for a pause or
  // whose breaker is open is not. So lower priorities are used when the first ones fail, not when they are busy.
  // - Usually: the targets of the best priority that has one which is available and which the call is not backing off
  //   from.
  // - A target that seems to hang and may take a probe: it, and the targets of the next priority beside it.
  // - No target is available: all that the call is not backing off from, because one of them takes a probe first.
  struct Ready {
    std::vector<TicketTarget> targets;
    // Targets that come before these or beside them, but are unavailable. Empty if none is available.
    std::vector<TicketTarget> skipped;
    // When the answer may be another; kNever: not by time alone, but when a skipped target becomes available.
    TimePoint next = kNever;
  };
  Ready ReadyAt(TimePoint now) const;

 private:
  std::vector<RouteState> states_;
};

}  // namespace millrace
