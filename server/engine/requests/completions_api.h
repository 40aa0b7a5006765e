// Requests of clients to models, without a pipeline.
#pragma once

#include "millrace/v1/completion_service.pb.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/engine/requests/request_context.h"
#include "server/engine/requests/rpc_list.h"

namespace millrace {

// One coroutine for each unary RPC of CompletionService. Engine thread. Requests have passed no check: every method
// checks its own, and returns the errors that the proto file lists.
class CompletionsApi {
 public:
  virtual ~CompletionsApi() = default;

  MR_COMPLETION_RPCS(MR_API_METHOD)
};

}  // namespace millrace
