// One question of a client, answered by the call layer: Generate.
#pragma once

#include <memory>

#include "millrace/v1/completion_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/stop_signal.h"
#include "server/base/task.h"
#include "server/llm/call.h"

namespace millrace {

// Checks a request, answers it and settles the answer in `store`. It fails at once if every target needs a human
// (credentials, quota). `left` stops when the client has gone: an attempt in flight is still read to its end and
// stored. `left` may be null; `calls` and `store` must live until this resumes. INVALID_ARGUMENT (INVALID_FIELD),
// CANCELLED (the client has gone), and the errors of calls.
Task<StatusOr<v1::GenerateResponse>> Complete(CallHandler& calls, Store& store, v1::GenerateRequest request,
                                              TimePoint deadline, std::shared_ptr<StopSignal> left, trace::Ref trace);

}  // namespace millrace
