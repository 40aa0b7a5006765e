// The one list of the unary RPCs of millrace.v1, by service: X(Service, Name) for `rpc Name(NameRequest) returns
// (NameResponse)`. The APIs of the engine, the gRPC services, the client and the tests' fakes are made from it. A new
// unary RPC is four changes: its proto, a line here, and its declaration and definition in the class of requests
// (pipeline_requests, run_requests, completion_requests, admin_requests). The streams (WatchRun, StreamItems,
// StreamGenerate) are written by hand in each of these places.
#pragma once

#define MR_PIPELINE_RPCS(X)          \
  X(PipelineService, ApplyPipeline)  \
  X(PipelineService, GetPipeline)    \
  X(PipelineService, ListPipelines)  \
  X(PipelineService, DeletePipeline) \
  X(PipelineService, PlanPipeline)

#define MR_RUN_RPCS(X)       \
  X(RunService, CreateRun)   \
  X(RunService, GetRun)      \
  X(RunService, ListRuns)    \
  X(RunService, WaitRun)     \
  X(RunService, PauseRun)    \
  X(RunService, ResumeRun)   \
  X(RunService, RedriveRun)  \
  X(RunService, CancelRun)   \
  X(RunService, DeleteRun)   \
  X(RunService, ListItems)   \
  X(RunService, AddItems)    \
  X(RunService, CloseInput)  \
  X(RunService, ExplainItem) \
  X(RunService, ListAttempts)

#define MR_COMPLETION_RPCS(X)    \
  X(CompletionService, Generate) \
  X(CompletionService, Embed)

#define MR_ADMIN_RPCS(X)         \
  X(AdminService, GetStatus)     \
  X(AdminService, ListBackends)  \
  X(AdminService, ListModels)    \
  X(AdminService, GetCacheStats) \
  X(AdminService, EvictCache)

#define MR_ALL_RPCS(X)  \
  MR_PIPELINE_RPCS(X)   \
  MR_RUN_RPCS(X)        \
  MR_COMPLETION_RPCS(X) \
  MR_ADMIN_RPCS(X)
