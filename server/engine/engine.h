// The engine: runs of pipelines over items, on one thread, made of injected parts (server/engine/engine_deps.h). It
// knows stages, calls, the store and time by their interfaces only, so that the same engine runs in the simulator.
// Clients reach it through four small APIs (server/engine/requests/apis.h).
#pragma once

#include <memory>

#include "server/base/random.h"
#include "server/engine/engine_deps.h"
#include "server/engine/requests/apis.h"

namespace millrace {

// Engine thread.
class Engine {
 public:
  Engine(EngineDeps deps, Random random, EngineOptions options);
  // REQUIRES: its loop was abandoned, or none of its coroutines is left.
  ~Engine();
  Engine(const Engine&) = delete;

  // Loads the runs that have not ended and continues those that ran. Call it once, before anything else. Cheap: what
  // depends on the number of items happens later, in the background.
  Task<Status> Recover();

  // Takes no new work (CreateRun, AddItems, Generate and others: UNAVAILABLE, DRAINING) and starts no new call. Resumes
  // when the calls in flight are over and stored, or at `deadline`. Runs keep their states and continue at the next
  // start.
  Task<void> Drain(TimePoint deadline);

  // They live as long as the engine.
  PipelinesApi& pipelines();
  RunsApi& runs();
  CompletionsApi& completions();
  AdminApi& admin();
  Apis apis() { return {pipelines(), runs(), completions(), admin()}; }

 private:
  struct Members;
  const std::unique_ptr<Members> members_;
};

}  // namespace millrace
