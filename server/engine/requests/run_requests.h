// Requests about runs: they are created, read, waited for, and brought from one state to another; their items are read
// and, if clients send them, taken in.
#pragma once

#include <string>

#include "server/engine/requests/input_requests.h"
#include "server/engine/requests/item_requests.h"
#include "server/engine/requests/run_creator.h"
#include "server/engine/requests/runs_api.h"
#include "server/engine/run/runs.h"
#include "server/engine/work_gate.h"

namespace millrace {

// All references must outlive it. `patient_store` is where inputs of clients are kept.
class RunRequests final : public RunsApi {
 public:
  RunRequests(const EngineDeps& deps, const EngineOptions& options, Store& patient_store, const WorkGate& gate,
              Runs& runs, PipelineCatalog& catalog, Random random)
      : deps_(deps),
        gate_(gate),
        runs_(runs),
        creator_(deps, options, gate, runs, catalog, std::move(random)),
        items_(deps, runs),
        inputs_(deps, patient_store, gate, runs) {}

  Task<StatusOr<v1::CreateRunResponse>> CreateRun(RequestContext context, v1::CreateRunRequest request) override;
  Task<StatusOr<v1::GetRunResponse>> GetRun(RequestContext context, v1::GetRunRequest request) override;
  Task<StatusOr<v1::ListRunsResponse>> ListRuns(RequestContext context, v1::ListRunsRequest request) override;
  Task<StatusOr<v1::WaitRunResponse>> WaitRun(RequestContext context, v1::WaitRunRequest request) override;
  Task<StatusOr<v1::PauseRunResponse>> PauseRun(RequestContext context, v1::PauseRunRequest request) override;
  Task<StatusOr<v1::ResumeRunResponse>> ResumeRun(RequestContext context, v1::ResumeRunRequest request) override;
  Task<StatusOr<v1::RedriveRunResponse>> RedriveRun(RequestContext context, v1::RedriveRunRequest request) override;
  Task<StatusOr<v1::CancelRunResponse>> CancelRun(RequestContext context, v1::CancelRunRequest request) override;
  Task<StatusOr<v1::DeleteRunResponse>> DeleteRun(RequestContext context, v1::DeleteRunRequest request) override;
  Task<StatusOr<v1::ListItemsResponse>> ListItems(RequestContext context, v1::ListItemsRequest request) override;
  Task<StatusOr<v1::AddItemsResponse>> AddItems(RequestContext context, v1::AddItemsRequest request) override;
  Task<StatusOr<v1::CloseInputResponse>> CloseInput(RequestContext context, v1::CloseInputRequest request) override;
  Task<StatusOr<v1::ExplainItemResponse>> ExplainItem(RequestContext context, v1::ExplainItemRequest request) override;
  Task<StatusOr<v1::ListAttemptsResponse>> ListAttempts(RequestContext context,
                                                        v1::ListAttemptsRequest request) override;
  Task<StatusOr<EventPage>> NextEvents(RequestContext context, v1::WatchRunRequest request) override;
  Task<StatusOr<ItemPage>> NextItems(RequestContext context, v1::StreamItemsRequest request) override;

 private:
  // Brings a run into another state and returns it. A run that has ended is returned as it is if it ended in `done_in`;
  // else FAILED_PRECONDITION (WRONG_RUN_STATE).
  Task<StatusOr<v1::Run>> Change(std::string name, Task<Status> (ActiveRun::*change)(), v1::RunState done_in);

  const EngineDeps& deps_;
  const WorkGate& gate_;
  Runs& runs_;
  RunCreator creator_;
  ItemRequests items_;
  InputRequests inputs_;
};

}  // namespace millrace
