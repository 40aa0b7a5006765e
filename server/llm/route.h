// The routes of one call: which are excluded, and when each can be retried.
#pragma once

#include <cstdint>
#include <vector>

#include "server/base/clock.h"
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

  // Failures in a row, without the one that is being counted.
  int32_t failures() const { return failures_; }
  // The newest failure can only be repaired by a human.
  bool needs_human() const { return needs_human_; }
  // Returns when the route can be retried: its own back-off, and the target's Retry-After.
  TimePoint NextTry() const;

  void CountAnswer() { failures_ = 0; }
  void CountFailure(bool needs_human) {
    ++failures_;
    needs_human_ = needs_human;
  }
  void BackOff(TimePoint until) { not_before_ = until; }

 private:
  const Route* route_;
  bool is_excluded_ = false;
  bool needs_human_ = false;
  int32_t failures_ = 0;
  TimePoint not_before_{};
};

// The routes of one call, in the order of its alias.
class RouteStates {
 public:
  explicit RouteStates(const std::vector<Route>& routes) : states_(routes.begin(), routes.end()) {}

  size_t size() const { return states_.size(); }
  RouteState& operator[](size_t index) { return states_[index]; }

  bool HasAnyLeft() const;
  // Returns whether a human must repair every route that is left.
  bool AllNeedHuman() const;
  // Returns the route of a target that is not excluded.
  size_t IndexOf(const Target& target) const;

  // Targets that the call may wait for a slot of: those of the first priority that has any. A target counts as failing,
  // and is left out, while this call backs off from it or its Retry-After lasts (so does a rate-limited one): then
  // lower priorities get the call. A target without a free slot is only busy: its calls wait. `next`: the time when
  // another target can be added; kNever: there is nothing to wait for.
  struct Ready {
    std::vector<Target*> targets;
    TimePoint next = kNever;
  };
  Ready ReadyAt(TimePoint now) const;

 private:
  std::vector<RouteState> states_;
};

}  // namespace millrace
