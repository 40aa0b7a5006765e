// Creates runs: checks the request, deduplicates it by its request id, stores the run and starts it.
#pragma once

#include "millrace/v1/run_service.pb.h"
#include "server/base/digest.h"
#include "server/base/random.h"
#include "server/engine/named_mutex.h"
#include "server/engine/requests/pipeline_catalog.h"
#include "server/engine/run/runs.h"
#include "server/engine/work_gate.h"

namespace millrace {

// Returns the digest of what a request asks for: its canonical JSON, without the request id and the time to wait. It is
// stored, so that a repeated request id with another request is refused, by later versions too.
Digest RequestDigest(v1::CreateRunRequest request);

// Engine thread. All references must outlive it.
class RunCreator {
 public:
  RunCreator(const EngineDeps& deps, const EngineOptions& options, const WorkGate& gate, Runs& runs,
             PipelineCatalog& catalog, Random random)
      : deps_(deps),
        options_(options),
        gate_(gate),
        runs_(runs),
        catalog_(catalog),
        random_(std::move(random)),
        request_ids_(deps.loop) {}

  // Returns the new run, or the one that an earlier request with the same id created. A run without a name was only
  // validated. Does not wait for the run. If `left` stops, which may be null, before the definition is checked, nothing
  // is created.
  Task<StatusOr<v1::CreateRunResponse>> Create(v1::CreateRunRequest request, std::shared_ptr<StopSignal> left);

 private:
  // Creates a run from a request that no earlier one repeats. `digest`: empty without a request id.
  Task<StatusOr<v1::Run>> CreateNew(v1::CreateRunRequest request, std::string digest, std::shared_ptr<StopSignal> left);

  // Checks that the beginnings of the sources have the fields that the stages read. INVALID_ARGUMENT
  // (INVALID_DEFINITION).
  Task<Status> CheckFields(const v1::CreateRunRequest& request, const PreparedPipeline& prepared,
                           const std::set<std::string>& client_inputs);

  const EngineDeps& deps_;
  const EngineOptions& options_;
  const WorkGate& gate_;
  Runs& runs_;
  PipelineCatalog& catalog_;
  Random random_;
  NamedMutex request_ids_;  // requests with the same id enter one after another
};

}  // namespace millrace
