// Requests of clients to models, without a pipeline.
#pragma once

#include <memory>

#include "millrace/v1/completion_service.pb.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/engine/requests/request_context.h"
#include "server/engine/requests/rpc_list.h"
#include "server/llm/call.h"

namespace millrace {

// One coroutine for each RPC of CompletionService. Engine thread. Requests have passed no check: every method
// checks its own, and returns the errors that the proto file lists.
class CompletionsApi {
 public:
  virtual ~CompletionsApi() = default;

  MR_COMPLETION_RPCS(MR_API_METHOD)

  // Generate, whose text goes to `deltas` while it is made. If the client leaves, the provider's connection is closed,
  // unless others wait for the same answer.
  virtual Task<StatusOr<v1::GenerateResponse>> StreamGenerate(RequestContext context, v1::StreamGenerateRequest request,
                                                              std::shared_ptr<DeltaSink> deltas) = 0;
};

}  // namespace millrace
