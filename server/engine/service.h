// What the engine offers to the API: one coroutine an RPC, requests and answers as the protos have them. The API
// translates and hops to the engine's thread; nothing else. Engine thread only. Requests have passed no check: every
// method checks its own and returns errors with reasons (server/base/status.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/v1/admin_service.pb.h"
#include "millrace/v1/completion_service.pb.h"
#include "millrace/v1/pipeline_service.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"

namespace millrace {

class StopSignal;

class Service {
 public:
  virtual ~Service() = default;

  virtual Task<StatusOr<v1::ApplyPipelineResponse>> ApplyPipeline(v1::ApplyPipelineRequest request) = 0;
  virtual Task<StatusOr<v1::GetPipelineResponse>> GetPipeline(v1::GetPipelineRequest request) = 0;
  virtual Task<StatusOr<v1::ListPipelinesResponse>> ListPipelines(v1::ListPipelinesRequest request) = 0;
  virtual Task<StatusOr<v1::DeletePipelineResponse>> DeletePipeline(v1::DeletePipelineRequest request) = 0;
  virtual Task<StatusOr<v1::PlanPipelineResponse>> PlanPipeline(v1::PlanPipelineRequest request) = 0;

  // `deadline` bounds only the waiting (CreateRun.wait, WaitRun), never the run.
  virtual Task<StatusOr<v1::CreateRunResponse>> CreateRun(v1::CreateRunRequest request, TimePoint deadline) = 0;
  virtual Task<StatusOr<v1::GetRunResponse>> GetRun(v1::GetRunRequest request) = 0;
  virtual Task<StatusOr<v1::ListRunsResponse>> ListRuns(v1::ListRunsRequest request) = 0;
  virtual Task<StatusOr<v1::WaitRunResponse>> WaitRun(v1::WaitRunRequest request, TimePoint deadline) = 0;
  virtual Task<StatusOr<v1::PauseRunResponse>> PauseRun(v1::PauseRunRequest request) = 0;
  virtual Task<StatusOr<v1::ResumeRunResponse>> ResumeRun(v1::ResumeRunRequest request) = 0;
  virtual Task<StatusOr<v1::RedriveRunResponse>> RedriveRun(v1::RedriveRunRequest request) = 0;
  virtual Task<StatusOr<v1::CancelRunResponse>> CancelRun(v1::CancelRunRequest request) = 0;
  virtual Task<StatusOr<v1::DeleteRunResponse>> DeleteRun(v1::DeleteRunRequest request) = 0;
  virtual Task<StatusOr<v1::ListItemsResponse>> ListItems(v1::ListItemsRequest request) = 0;
  virtual Task<StatusOr<v1::AddItemsResponse>> AddItems(v1::AddItemsRequest request) = 0;
  virtual Task<StatusOr<v1::CloseInputResponse>> CloseInput(v1::CloseInputRequest request) = 0;
  virtual Task<StatusOr<v1::ExplainItemResponse>> ExplainItem(v1::ExplainItemRequest request) = 0;
  virtual Task<StatusOr<v1::ListAttemptsResponse>> ListAttempts(v1::ListAttemptsRequest request) = 0;

  // A part of a stream: what came after the request's token. Waits until there is something, the stream has ended, or
  // `deadline`; nothing and not `end` means the deadline passed. The caller asks again with the last token.
  struct EventPage {
    std::vector<v1::RunEvent> events;
    bool end = false;
  };
  virtual Task<StatusOr<EventPage>> NextEvents(v1::WatchRunRequest request, TimePoint deadline) = 0;
  struct ItemPage {
    std::vector<v1::StreamItemsResponse> items;
    bool end = false;
  };
  virtual Task<StatusOr<ItemPage>> NextItems(v1::StreamItemsRequest request, TimePoint deadline) = 0;

  // `left` is stopped when the client has gone: an attempt in flight is still read to its end and kept. May be null.
  virtual Task<StatusOr<v1::GenerateResponse>> Generate(v1::GenerateRequest request, TimePoint deadline,
                                                        std::shared_ptr<StopSignal> left) = 0;

  virtual Task<StatusOr<v1::GetStatusResponse>> GetStatus(v1::GetStatusRequest request) = 0;
  virtual Task<StatusOr<v1::ListBackendsResponse>> ListBackends(v1::ListBackendsRequest request) = 0;
  virtual Task<StatusOr<v1::ListModelsResponse>> ListModels(v1::ListModelsRequest request) = 0;
  virtual Task<StatusOr<v1::GetCacheStatsResponse>> GetCacheStats(v1::GetCacheStatsRequest request) = 0;
  virtual Task<StatusOr<v1::EvictCacheResponse>> EvictCache(v1::EvictCacheRequest request) = 0;

  // Takes no new work (CreateRun, AddItems, Generate: UNAVAILABLE, DRAINING) and starts no new call; resumes when calls
  // in flight are over and stored, or at `deadline`. Runs stay as they are and go on at the next start.
  virtual Task<void> Drain(TimePoint deadline) = 0;
};

}  // namespace millrace
