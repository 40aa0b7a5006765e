#include "server/engine/requests/completion_requests.h"

#include <utility>

#include "server/llm/completion.h"

namespace millrace {

Task<StatusOr<v1::GenerateResponse>> CompletionRequests::Generate(RequestContext context, v1::GenerateRequest request) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  co_return co_await Complete(calls_, patient_store_, std::move(request), context.deadline, std::move(context.left),
                              std::move(context.trace));
}

}  // namespace millrace
