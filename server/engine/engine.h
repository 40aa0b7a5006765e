// The engine: runs of pipelines over items, on one thread, out of injected parts. It knows a stage by stage.h, a call
// by call.h, and everything else by a store, a clock and a random source: the same engine runs in the simulator.
#pragma once

#include <memory>
#include <string>

#include "server/base/random.h"
#include "server/engine/engine_deps.h"
#include "server/engine/service.h"

namespace millrace {

class ActiveRun;

class Engine final : public Service {
 public:
  Engine(EngineDeps deps, Random random, EngineOptions options);
  // Its loop must have been abandoned, or no coroutine of it be left.
  ~Engine() override;

  // Loads the runs that have not ended and goes on with those that ran. Call it once, before anything else; cheap: what
  // depends on the number of items happens afterwards, in the background.
  Task<Status> Recover();

  Task<StatusOr<v1::ApplyPipelineResponse>> ApplyPipeline(v1::ApplyPipelineRequest request) override;
  Task<StatusOr<v1::GetPipelineResponse>> GetPipeline(v1::GetPipelineRequest request) override;
  Task<StatusOr<v1::ListPipelinesResponse>> ListPipelines(v1::ListPipelinesRequest request) override;
  Task<StatusOr<v1::DeletePipelineResponse>> DeletePipeline(v1::DeletePipelineRequest request) override;
  Task<StatusOr<v1::PlanPipelineResponse>> PlanPipeline(v1::PlanPipelineRequest request) override;

  Task<StatusOr<v1::CreateRunResponse>> CreateRun(v1::CreateRunRequest request, TimePoint deadline) override;
  Task<StatusOr<v1::GetRunResponse>> GetRun(v1::GetRunRequest request) override;
  Task<StatusOr<v1::ListRunsResponse>> ListRuns(v1::ListRunsRequest request) override;
  Task<StatusOr<v1::WaitRunResponse>> WaitRun(v1::WaitRunRequest request, TimePoint deadline) override;
  Task<StatusOr<v1::PauseRunResponse>> PauseRun(v1::PauseRunRequest request) override;
  Task<StatusOr<v1::ResumeRunResponse>> ResumeRun(v1::ResumeRunRequest request) override;
  Task<StatusOr<v1::RedriveRunResponse>> RedriveRun(v1::RedriveRunRequest request) override;
  Task<StatusOr<v1::CancelRunResponse>> CancelRun(v1::CancelRunRequest request) override;
  Task<StatusOr<v1::DeleteRunResponse>> DeleteRun(v1::DeleteRunRequest request) override;
  Task<StatusOr<v1::ListItemsResponse>> ListItems(v1::ListItemsRequest request) override;
  Task<StatusOr<v1::AddItemsResponse>> AddItems(v1::AddItemsRequest request) override;
  Task<StatusOr<v1::CloseInputResponse>> CloseInput(v1::CloseInputRequest request) override;
  Task<StatusOr<v1::ExplainItemResponse>> ExplainItem(v1::ExplainItemRequest request) override;
  Task<StatusOr<v1::ListAttemptsResponse>> ListAttempts(v1::ListAttemptsRequest request) override;
  Task<StatusOr<EventPage>> NextEvents(v1::WatchRunRequest request, TimePoint deadline) override;
  Task<StatusOr<ItemPage>> NextItems(v1::StreamItemsRequest request, TimePoint deadline) override;

  Task<StatusOr<v1::GenerateResponse>> Generate(v1::GenerateRequest request, TimePoint deadline,
                                                std::shared_ptr<StopSignal> left) override;

  Task<StatusOr<v1::GetStatusResponse>> GetStatus(v1::GetStatusRequest request) override;
  Task<StatusOr<v1::ListBackendsResponse>> ListBackends(v1::ListBackendsRequest request) override;
  Task<StatusOr<v1::ListModelsResponse>> ListModels(v1::ListModelsRequest request) override;
  Task<StatusOr<v1::GetCacheStatsResponse>> GetCacheStats(v1::GetCacheStatsRequest request) override;
  Task<StatusOr<v1::EvictCacheResponse>> EvictCache(v1::EvictCacheRequest request) override;

  Task<void> Drain(TimePoint deadline) override;

  struct State;  // engine_state.h

 private:
  // Creates a run out of a checked request. A run without a name: it was only checked.
  static Task<StatusOr<v1::Run>> Create(State& state, v1::CreateRunRequest request, Digest digest);
  // Brings a run into another state; nothing is done where it has ended in `done_in`.
  Task<StatusOr<v1::Run>> Change(std::string name, Task<Status> (ActiveRun::*change)(), v1::RunState done_in);

  std::unique_ptr<State> state_;
};

}  // namespace millrace
