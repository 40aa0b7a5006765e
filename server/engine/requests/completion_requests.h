// Requests for one answer of a model, without a pipeline.
#pragma once

#include <memory>

#include "server/engine/engine_deps.h"
#include "server/engine/requests/completions_api.h"
#include "server/engine/work_gate.h"

namespace millrace {

// All arguments must outlive it. `patient_store` is where answers and their attempts are settled.
class CompletionRequests final : public CompletionsApi {
 public:
  CompletionRequests(CallHandler& calls, Store& patient_store, const WorkGate& gate)
      : calls_(calls), patient_store_(patient_store), gate_(gate) {}

  Task<StatusOr<v1::GenerateResponse>> Generate(RequestContext context, v1::GenerateRequest request) override;
  Task<StatusOr<v1::GenerateResponse>> StreamGenerate(RequestContext context, v1::StreamGenerateRequest request,
                                                      std::shared_ptr<DeltaSink> deltas) override;

 private:
  CallHandler& calls_;
  Store& patient_store_;
  const WorkGate& gate_;
};

}  // namespace millrace
