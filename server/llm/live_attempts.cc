#include "server/llm/live_attempts.h"

#include <algorithm>
#include <utility>

namespace millrace {

std::shared_ptr<const void> SettlingAttempts::Hold(const std::string& run, const std::string& stage,
                                                   const AttemptCounts& counts) {
  if (run.empty() || counts.attempts == 0) return nullptr;
  if (held_.size() >= prune_at_) {
    std::erase_if(held_, [](const auto& held) { return held.expired(); });
    prune_at_ = std::max<size_t>(64, 2 * held_.size());
  }
  auto held = std::make_shared<const Held>(Held{run, stage, counts});
  held_.push_back(held);
  return held;
}

void SettlingAttempts::AddTo(std::string_view run, AttemptsByStage& by_stage) const {
  for (const auto& weak : held_) {
    const std::shared_ptr<const Held> held = weak.lock();
    if (held && held->run == run) by_stage[held->stage].Add(held->counts);
  }
}

}  // namespace millrace
