// Traces of one stage at work: its span in the trace of its run, spans of batches below that, and a trace of its own
// for each item of a stage that calls models. Items are not part of the run's trace, which is therefore bounded; a link
// leads from an item to its stage, and the attribute millrace.item.id finds it.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/v1/run.pb.h"
#include "server/engine/plan.h"
#include "server/stages/item.h"
#include "server/trace/tracer.h"

namespace millrace {

// Batches of one stage and episode that have a span; the others are only counted.
inline constexpr int64_t kBatchSpansMax = 100;

// The stage's span begins with its first work, not with the run: so its bar shows when it worked, and stages that wait
// for others come after them. A stage without work has no span. Engine thread.
class StageTrace {
 public:
  // `tracer` must outlive it. `run` is the run's span.
  StageTrace(trace::Tracer& tracer, const trace::Span& run, const std::string& run_name, const PlanStage& stage);

  // Begins the stage's span, unless it has begun. For stages that don't take their items in batches.
  void BeginWork();
  // Begins the span of a batch; nothing if the stage has had many.
  trace::Span BeginBatch(int64_t first_ordinal, size_t items);
  // Begins the trace of one item. All stages of a run use the same trace for the same item id.
  trace::Span BeginItem(const std::string& id, int64_t ordinal);
  // Notes how the item has ended, and ends its trace.
  static void EndItem(trace::Span& span, const StageItem& item);
  // Ends the stage's span; nothing if it has not begun.
  void End(const v1::StageProgress& progress, bool is_done);

 private:
  trace::Tracer& tracer_;
  const std::string run_name_;
  const std::string stage_;
  const std::string kind_;
  const trace::TraceId run_;
  const trace::Ref parent_;
  trace::Span span_;
  int64_t batches_ = 0;
};

}  // namespace millrace
