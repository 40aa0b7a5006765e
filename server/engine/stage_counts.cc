#include "server/engine/stage_counts.h"

#include <algorithm>

namespace millrace {

bool IsReadable(StageShape shape, const storage::v1::StageRecord& record) {
  return shape != StageShape::kBarrier || record.done();
}

bool InputClosed(const Plan& plan, int stage, RecordOf record_of) {
  const std::vector<int>& needs = plan.stage(stage).needs;
  if (needs.empty()) return record_of(stage).done();
  return std::all_of(needs.begin(), needs.end(), [&](int need) { return record_of(need).done(); });
}

int64_t ItemsIn(const Plan& plan, int stage, RecordOf record_of) {
  const std::vector<int>& needs = plan.stage(stage).needs;
  if (needs.empty()) return record_of(stage).progress().items_in();
  int64_t items = 0;
  for (const int need : needs) {
    const storage::v1::StageRecord& record = record_of(need);
    if (IsReadable(plan.stage(need).shape, record)) items += record.progress().ok() + record.progress().degraded();
  }
  return items;
}

v1::StageProgress ProgressOf(const Plan& plan, int stage, RecordOf record_of) {
  v1::StageProgress progress = record_of(stage).progress();
  if (!IsReadable(plan.stage(stage).shape, record_of(stage))) {
    progress.set_ok(0);
    progress.set_skipped(0);
  }
  progress.set_stage(plan.stage(stage).name);
  progress.set_kind(plan.stage(stage).kind);
  progress.set_items_in(ItemsIn(plan, stage, record_of));
  progress.set_input_closed(InputClosed(plan, stage, record_of));
  return progress;
}

void AddAttempts(const AttemptsByStage& begun, v1::StageProgress& progress) {
  const auto found = begun.find(progress.stage());
  if (found == begun.end()) return;
  progress.set_attempts(progress.attempts() + found->second.attempts);
  progress.set_maybe_billed(progress.maybe_billed() + found->second.maybe_billed);
}

}  // namespace millrace
