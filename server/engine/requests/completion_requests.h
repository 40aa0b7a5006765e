// Requests for one answer of a model, without a pipeline.
#pragma once

#include <memory>

#include "server/engine/engine_deps.h"
#include "server/engine/requests/completions_api.h"
#include "server/engine/work_gate.h"
#include "server/llm/embed.h"

namespace millrace {

// All arguments must outlive it. `patient_store` is where answers and their attempts are settled.
class CompletionRequests final : public CompletionsApi {
 public:
  CompletionRequests(const EngineDeps& deps, Store& patient_store, const WorkGate& gate)
      : calls_(deps.calls),
        patient_store_(patient_store),
        gate_(gate),
        embeddings_({.loop = deps.loop,
                     .pool = deps.pool,
                     .store = patient_store,
                     .calls = deps.calls,
                     .models = deps.models,
                     .answers = deps.answers}) {}

  Task<StatusOr<v1::GenerateResponse>> Generate(RequestContext context, v1::GenerateRequest request) override;
  Task<StatusOr<v1::GenerateResponse>> StreamGenerate(RequestContext context, v1::StreamGenerateRequest request,
                                                      std::shared_ptr<DeltaSink> deltas) override;
  Task<StatusOr<v1::EmbedResponse>> Embed(RequestContext context, v1::EmbedRequest request) override;

 private:
  CallHandler& calls_;
  Store& patient_store_;
  const WorkGate& gate_;
  Embeddings embeddings_;
};

}  // namespace millrace
