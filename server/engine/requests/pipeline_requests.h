// Requests about pipelines: they are checked, stored under their names, listed, forgotten, and forecast.
#pragma once

#include "server/engine/async_mutex.h"
#include "server/engine/requests/pipeline_catalog.h"
#include "server/engine/requests/pipelines_api.h"
#include "server/engine/run/runs.h"
#include "server/engine/work_gate.h"

namespace millrace {

// All arguments must outlive it.
class PipelineRequests final : public PipelinesApi {
 public:
  PipelineRequests(const EngineDeps& deps, const EngineOptions& options, const WorkGate& gate, Runs& runs,
                   PipelineCatalog& catalog)
      : deps_(deps), options_(options), gate_(gate), runs_(runs), catalog_(catalog), changing_(deps.loop) {}

  Task<StatusOr<v1::ApplyPipelineResponse>> ApplyPipeline(RequestContext context,
                                                          v1::ApplyPipelineRequest request) override;
  Task<StatusOr<v1::GetPipelineResponse>> GetPipeline(RequestContext context, v1::GetPipelineRequest request) override;
  Task<StatusOr<v1::ListPipelinesResponse>> ListPipelines(RequestContext context,
                                                          v1::ListPipelinesRequest request) override;
  Task<StatusOr<v1::DeletePipelineResponse>> DeletePipeline(RequestContext context,
                                                            v1::DeletePipelineRequest request) override;
  Task<StatusOr<v1::PlanPipelineResponse>> PlanPipeline(RequestContext context,
                                                        v1::PlanPipelineRequest request) override;

 private:
  const EngineDeps& deps_;
  const EngineOptions& options_;
  const WorkGate& gate_;
  Runs& runs_;
  PipelineCatalog& catalog_;
  AsyncMutex changing_;  // held from reading a stored pipeline until its next version is stored
};

}  // namespace millrace
