// The trace of a run: one for each run, made from its name, so that what it does after a restart or redrive is in the
// same trace. Each episode is a root, with a span for each stage below it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/engine/plan.h"
#include "server/engine/step/stage_trace.h"
#include "server/trace/tracer.h"

namespace millrace {

// Engine thread.
class RunTrace {
 public:
  // `tracer` may be null (nothing is traced) and must outlive it.
  explicit RunTrace(trace::Tracer* tracer) : tracer_(tracer) {}

  void BeginEpisode(const storage::v1::RunRecord& record);
  // Begins the spans of all stages. Nothing if no episode is traced.
  void BeginStages(const Plan& plan);
  void EndStage(int stage, const v1::StageProgress& progress, bool is_done);
  void EndEpisode(const v1::Run& run);

  // Links the episode and the span that started it, such as the request of a client.
  void LinkWith(trace::Span& starter);
  // Null: the stage is not traced now.
  StageTrace* stage(int index);

 private:
  trace::Tracer* const tracer_;
  std::string run_name_;
  trace::Span episode_;
  std::vector<std::unique_ptr<StageTrace>> stages_;  // by their place in the plan
};

}  // namespace millrace
