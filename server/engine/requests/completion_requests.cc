#include "server/engine/requests/completion_requests.h"

#include <utility>

#include "server/llm/completion.h"

namespace millrace {
namespace {

CallContext CallContextOf(RequestContext context) {
  CallContext call;
  call.deadline = context.deadline;
  call.stop = std::move(context.left);
  call.trace = std::move(context.trace);
  return call;
}

}  // namespace

Task<StatusOr<v1::GenerateResponse>> CompletionRequests::Generate(RequestContext context, v1::GenerateRequest request) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  CallContext call = CallContextOf(std::move(context));
  co_return co_await Complete(calls_, patient_store_, std::move(request), std::move(call));
}

Task<StatusOr<v1::GenerateResponse>> CompletionRequests::StreamGenerate(RequestContext context,
                                                                        v1::StreamGenerateRequest request,
                                                                        std::shared_ptr<DeltaSink> deltas) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  CallContext call = CallContextOf(std::move(context));
  call.deltas = std::move(deltas);
  co_return co_await Complete(calls_, patient_store_, std::move(*request.mutable_generate()), std::move(call));
}

Task<StatusOr<v1::EmbedResponse>> CompletionRequests::Embed(RequestContext context, v1::EmbedRequest request) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  CallContext call = CallContextOf(std::move(context));
  co_return co_await embeddings_.Embed(std::move(call), std::move(request));
}

}  // namespace millrace
