#include "server/engine/stage_counts.h"

#include <algorithm>

#include "server/engine/times.h"

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

void AddTotals(v1::StageProgress& progress, const storage::v1::CallTotals& totals) {
  progress.set_calls(progress.calls() + totals.calls());
  progress.set_attempts(progress.attempts() + totals.attempts());
  progress.set_cache_hits(progress.cache_hits() + totals.cache_hits());
  progress.set_coalesced(progress.coalesced() + totals.coalesced());
  progress.set_maybe_billed(progress.maybe_billed() + totals.maybe_billed());
  progress.set_input_tokens(progress.input_tokens() + totals.input_tokens());
  progress.set_output_tokens(progress.output_tokens() + totals.output_tokens());
  progress.set_cost_nano_usd(progress.cost_nano_usd() + totals.cost_nano_usd());
  progress.set_unpriced_attempts(progress.unpriced_attempts() + totals.unpriced_attempts());
  if (totals.waiting_nanos() > 0) AddTo(*progress.mutable_waiting_time(), Duration(totals.waiting_nanos()));
  if (totals.calling_nanos() > 0) AddTo(*progress.mutable_calling_time(), Duration(totals.calling_nanos()));
}

void AddTakenOver(const TotalsByStage& taken, v1::StageProgress& progress) {
  const auto found = taken.find(progress.stage());
  if (found != taken.end()) AddTotals(progress, found->second);
}

void AddTakenOver(const TakenOver& taken, v1::Run& run) {
  if (taken.totals.empty()) return;
  TotalsByStage rest = taken.totals;
  for (const auto& [stage, left] : taken.left) rest[stage] = AttemptsWithout(rest[stage], left);
  for (v1::StageProgress& progress : *run.mutable_stages()) AddTakenOver(rest, progress);
}

}  // namespace millrace
