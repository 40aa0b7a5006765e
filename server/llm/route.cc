#include "server/llm/route.h"

#include <algorithm>
#include <optional>

namespace millrace {

bool RouteStates::HasAnyLeft() const {
  return std::any_of(states_.begin(), states_.end(), [](const RouteState& state) { return !state.is_excluded(); });
}

std::vector<Blockage> RouteStates::Blockages() const {
  std::vector<Blockage> blockages;
  for (const RouteState& state : states_) {
    if (state.is_excluded()) continue;
    if (!state.blocking()) return {};
    blockages.push_back(BlockageOf(state.target(), *state.blocking()));
  }
  return blockages;
}

size_t RouteStates::IndexOf(const Target& target) const {
  const auto found = std::find_if(states_.begin(), states_.end(), [&target](const RouteState& state) {
    return &state.target() == &target && !state.is_excluded();
  });
  return static_cast<size_t>(found - states_.begin());
}

RouteStates::Ready RouteStates::ReadyAt(TimePoint now) const {
  Ready ready;
  std::optional<int32_t> priority;
  for (const RouteState& state : states_) {
    if (state.is_excluded() || (priority && state.route().priority != *priority)) continue;
    if (state.not_before() > now) {
      ready.next = std::min(ready.next, state.not_before());
      continue;
    }
    if (const TimePoint until = state.target().UnavailableUntil(now); until > now) {
      ready.next = std::min(ready.next, until);
      ready.skipped.push_back({&state.target(), state.is_retry()});
      continue;
    }
    ready.targets.push_back({&state.target(), state.is_retry()});
    if (!state.target().IsSuspected(now)) priority = state.route().priority;
  }
  if (ready.targets.empty()) ready.targets.swap(ready.skipped);
  return ready;
}

}  // namespace millrace
