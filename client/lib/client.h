// Client of a server's API with one blocking method per RPC. Errors carry the reason and details that the server sent,
// in the form of server/base/status.h.
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

// The unary RPCs as X(service, method). Uploads have a list of their own, because tests replace them.
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

// Thread-safe. Interrupt knows only one call, so make one at a time if it may be used.
class Client {
 public:
  // Makes a client of `target`, which is `host:port` or `unix:PATH`. Connects with the first call, or blocks up to
  // `patience` until a server listens there.
  static std::unique_ptr<Client> Dial(const std::string& target, Duration patience = Duration(0));
  virtual ~Client() = default;

#define MILLRACE_DECLARE(service, method) \
  virtual StatusOr<v1::method##Response> method(const v1::method##Request& request) = 0;
  MILLRACE_UNARY_RPCS(MILLRACE_DECLARE)
#undef MILLRACE_DECLARE

  // Passes the events after `request.after` to `take`, until the run has ended, an error, Interrupt, or `take` returns
  // false.
  virtual Status WatchRun(const v1::WatchRunRequest& request, const std::function<bool(const v1::RunEvent&)>& take) = 0;

  // Limits the time of later calls except WatchRun; they then fail with DEADLINE_EXCEEDED. 0: no limit.
  virtual void SetTimeout(Duration timeout) = 0;

  // Ends the current call and every later one with CANCELLED. Any thread.
  virtual void Interrupt() = 0;
  // Allows calls again after Interrupt.
  virtual void Reset() = 0;
};

}  // namespace millrace::client
