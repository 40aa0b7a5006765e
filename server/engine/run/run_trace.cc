#include "server/engine/run/run_trace.h"

#include "server/trace/names.h"

namespace millrace {

void RunTrace::BeginEpisode(const storage::v1::RunRecord& record) {
  if (tracer_ == nullptr) return;
  const v1::Run& run = record.run();
  trace::Beginning beginning{.name = "run"};
  beginning.label = run.pipeline();
  beginning.id = trace::NamedTraceId({}, "run " + run.name());
  beginning.is_long = true;
  episode_ = tracer_->Begin(std::move(beginning));
  if (!episode_) return;
  run_name_ = run.name();
  episode_.Set(trace::kRun, run.name());
  episode_.Set(trace::kPipeline, run.pipeline());
  episode_.Set(trace::kGeneration, int64_t{record.redrives()});
}

void RunTrace::BeginStages(const Plan& plan) {
  if (!episode_) return;
  for (const PlanStage& stage : plan.stages()) {
    stages_.push_back(std::make_unique<StageTrace>(*tracer_, episode_, run_name_, stage));
  }
}

void RunTrace::EndStage(int stage, const v1::StageProgress& progress, bool is_done) {
  if (!stages_.empty()) stages_[static_cast<size_t>(stage)]->End(progress, is_done);
}

void RunTrace::EndEpisode(const v1::Run& run) {
  stages_.clear();
  if (!episode_) return;
  std::string state = v1::RunState_Name(run.state());
  state.erase(0, std::string_view("RUN_STATE_").size());
  episode_.Set(trace::kRunState, state);
  if (run.state() == v1::RUN_STATE_FAILED)
    episode_.Fail(v1::ErrorReason_Name(run.error().reason()), run.error().message());
  episode_.End();
}

void RunTrace::LinkWith(trace::Span& starter) {
  starter.AddLink(episode_.ref());
  episode_.AddLink(starter.ref());
}

StageTrace* RunTrace::stage(int index) { return stages_.empty() ? nullptr : stages_[static_cast<size_t>(index)].get(); }

}  // namespace millrace
