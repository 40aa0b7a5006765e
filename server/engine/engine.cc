#include "server/engine/engine.h"

#include <utility>

#include "server/engine/patient_store.h"
#include "server/engine/requests/admin_requests.h"
#include "server/engine/requests/completion_requests.h"
#include "server/engine/requests/pipeline_catalog.h"
#include "server/engine/requests/pipeline_requests.h"
#include "server/engine/requests/run_requests.h"
#include "server/engine/run/runs.h"
#include "server/engine/work_gate.h"

namespace millrace {

// In the order in which they need each other.
struct Engine::Members {
  Members(EngineDeps the_deps, Random random, EngineOptions the_options)
      : deps(std::move(the_deps)),
        options(std::move(the_options)),
        patient_store(deps.loop, deps.store),
        gate(deps.store),
        runs(deps, options, patient_store, gate),
        catalog(deps, options),
        pipeline_requests(deps, options, gate, runs, catalog),
        run_requests(deps, options, patient_store, gate, runs, catalog, std::move(random)),
        completion_requests(deps, patient_store, gate),
        admin_requests(deps, options, gate, runs) {}

  const EngineDeps deps;
  const EngineOptions options;
  PatientStore patient_store;
  WorkGate gate;
  Runs runs;
  PipelineCatalog catalog;
  PipelineRequests pipeline_requests;
  RunRequests run_requests;
  CompletionRequests completion_requests;
  AdminRequests admin_requests;
};

Engine::Engine(EngineDeps deps, Random random, EngineOptions options)
    : members_(std::make_unique<Members>(std::move(deps), std::move(random), std::move(options))) {}

Engine::~Engine() = default;

Task<Status> Engine::Recover() { return members_->runs.Recover(); }

Task<void> Engine::Drain(TimePoint deadline) {
  members_->gate.StartDraining();
  TaskGroup runs(members_->deps.loop);
  runs.Spawn(members_->runs.Drain(deadline));
  co_await members_->deps.traffic.Drain(deadline);
  co_await runs.Join();
}

PipelinesApi& Engine::pipelines() { return members_->pipeline_requests; }
RunsApi& Engine::runs() { return members_->run_requests; }
CompletionsApi& Engine::completions() { return members_->completion_requests; }
AdminApi& Engine::admin() { return members_->admin_requests; }

}  // namespace millrace
