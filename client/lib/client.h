// A client of a server's API: one blocking method an RPC. Errors carry the reason and details that the server sent, as
// server/base/status.h has them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "millrace/v1/admin_service.pb.h"
#include "millrace/v1/completion_service.pb.h"
#include "millrace/v1/pipeline_service.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace::client {

// The unary RPCs: X(service, method). Those of an upload apart, for tests of it.
#define MILLRACE_UPLOAD_RPCS(X) \
  X(RunService, AddItems)       \
  X(RunService, CloseInput)     \
  X(RunService, CancelRun)
#define MILLRACE_OTHER_RPCS(X)       \
  X(PipelineService, ApplyPipeline)  \
  X(PipelineService, GetPipeline)    \
  X(PipelineService, ListPipelines)  \
  X(PipelineService, DeletePipeline) \
  X(PipelineService, PlanPipeline)   \
  X(RunService, CreateRun)           \
  X(RunService, GetRun)              \
  X(RunService, ListRuns)            \
  X(RunService, WaitRun)             \
  X(RunService, PauseRun)            \
  X(RunService, ResumeRun)           \
  X(RunService, RedriveRun)          \
  X(RunService, DeleteRun)           \
  X(RunService, ListItems)           \
  X(RunService, ExplainItem)         \
  X(RunService, ListAttempts)        \
  X(CompletionService, Generate)     \
  X(AdminService, GetStatus)         \
  X(AdminService, ListBackends)      \
  X(AdminService, ListModels)        \
  X(AdminService, GetCacheStats)     \
  X(AdminService, EvictCache)
#define MILLRACE_UNARY_RPCS(X) \
  MILLRACE_UPLOAD_RPCS(X)      \
  MILLRACE_OTHER_RPCS(X)

// Any thread.
class Client {
 public:
  // `target` is `host:port`, or `unix:PATH`. Connects with the first call, or blocks up to `patience` until a server
  // listens there.
  static std::unique_ptr<Client> Dial(const std::string& target, Duration patience = Duration(0));
  virtual ~Client() = default;

#define MILLRACE_DECLARE(service, method) \
  virtual StatusOr<v1::method##Response> method(const v1::method##Request& request) = 0;
  MILLRACE_UNARY_RPCS(MILLRACE_DECLARE)
#undef MILLRACE_DECLARE

  // Events after `request.after` until the run's end, an error, Interrupt, or `take` returns false.
  virtual Status WatchRun(const v1::WatchRunRequest& request, const std::function<bool(const v1::RunEvent&)>& take) = 0;

  // How long each later call but WatchRun may take; then DEADLINE_EXCEEDED. 0: as long as it takes.
  virtual void SetTimeout(Duration timeout) = 0;

  // Ends the call that is going on, and every later one, with CANCELLED.
  virtual void Interrupt() = 0;
  // Calls can be made again.
  virtual void Reset() = 0;
};

}  // namespace millrace::client
