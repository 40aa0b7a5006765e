#include "server/engine/step/stage_trace.h"

#include <string_view>

#include "server/trace/names.h"

namespace millrace {
namespace {

// Returns the name of an enum's value without its prefix.
std::string WithoutPrefix(const std::string& name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

std::string NameOf(v1::ItemState state) { return WithoutPrefix(v1::ItemState_Name(state), "ITEM_STATE_"); }

}  // namespace

StageTrace::StageTrace(trace::Tracer& tracer, const trace::Span& run, const std::string& run_name,
                       const PlanStage& stage)
    : tracer_(tracer),
      run_name_(run_name),
      stage_(stage.name),
      kind_(stage.kind),
      run_(run.context().trace),
      parent_(run.ref()) {}

void StageTrace::BeginWork() {
  if (span_) return;
  span_ = trace::Span(parent_, "stage", trace::SpanKind::kInternal, stage_);
  span_.Set(trace::kRun, run_name_);
  span_.Set(trace::kStage, stage_);
  span_.Set(trace::kStageKind, kind_);
}

trace::Span StageTrace::BeginBatch(int64_t first_ordinal, size_t items) {
  BeginWork();
  if (++batches_ > kBatchSpansMax) return trace::Span();
  trace::Span batch(span_.ref(), "batch", trace::SpanKind::kInternal, stage_);
  batch.Set(trace::kFirstOrdinal, first_ordinal);
  batch.Set(trace::kItems, static_cast<int64_t>(items));
  return batch;
}

trace::Span StageTrace::BeginItem(const std::string& id, int64_t ordinal) {
  BeginWork();
  trace::Beginning beginning{.name = "item"};
  beginning.label = stage_;
  beginning.id = trace::NamedTraceId(run_, id);
  beginning.slow_after = tracer_.slow_after();
  trace::Span item = tracer_.Begin(std::move(beginning));
  if (!item) return item;
  item.Set(trace::kItem, id);
  item.Set(trace::kItemOrdinal, ordinal);
  item.Set(trace::kRun, run_name_);
  item.Set(trace::kStage, stage_);
  item.AddLink(span_.ref());
  return item;
}

void StageTrace::EndItem(trace::Span& span, const StageItem& item) {
  if (!span) return;
  if (item.stopped) {
    span.Set(trace::kStopped, true);
  } else if (item.wake_micros > 0) {
    span.Set(trace::kItemState, "PARKED");
  } else {
    span.Set(trace::kItemState, NameOf(item.state));
  }
  if (item.state == v1::ITEM_STATE_FAILED && !item.stopped && item.wake_micros == 0) {
    span.Fail(WithoutPrefix(v1::ErrorReason_Name(item.reason), "ERROR_REASON_"), item.message);
  }
  if (item.state == v1::ITEM_STATE_DEGRADED) span.Keep();
  span.End();
}

void StageTrace::End(const v1::StageProgress& progress, bool is_done) {
  span_.Set(trace::kItemsOk, progress.ok());
  span_.Set(trace::kItemsFailed, progress.failed());
  if (batches_ > kBatchSpansMax) span_.Set(trace::kBatchesWithoutSpan, batches_ - kBatchSpansMax);
  if (!is_done) span_.Set(trace::kStopped, true);
  span_.End();
}

}  // namespace millrace
