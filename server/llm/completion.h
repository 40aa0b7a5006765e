// One question of a client, answered by the call layer: Generate and StreamGenerate.
#pragma once

#include "millrace/v1/completion_service.pb.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/call.h"

namespace millrace {

// Checks a request, answers it and settles the answer in `store`. It fails at once if every target needs a human
// (credentials, quota). `context` has no run, its `stop` stops when the client has gone, and the request says its
// `cache_ttl`. `calls` and `store` must live until this resumes. INVALID_ARGUMENT (INVALID_FIELD), CANCELLED (the
// client has gone), and the errors of calls.
Task<StatusOr<v1::GenerateResponse>> Complete(CallHandler& calls, Store& store, v1::GenerateRequest request,
                                              CallContext context);

}  // namespace millrace
