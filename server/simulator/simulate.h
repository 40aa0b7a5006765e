// A run of a user's pipeline over the user's input, played before it is paid for: the engine, the call layer and the
// stages are the real ones, files are really read, and only the providers, the store and the sinks are made up. Time is
// virtual: waiting costs nothing, and one seed always gives the same answer. What computing takes is not predicted.
#pragma once

#include <cstdint>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "millrace/v1/server_config.pb.h"
#include "millrace/v1/simulation.pb.h"
#include "server/base/status.h"
#include "server/stages/stage.h"

namespace millrace::simulator {

struct SimulateOptions {
  v1::Pipeline pipeline;         // checked
  v1::CreateRunRequest request;  // parameters, limit and sample
  // Of the server that is played, defaults filled in: models with slots, retries and time limits, and the durability.
  // All backends are the one made-up provider. A model that is not there is played as one target with its defaults.
  v1::ServerConfig config;
  v1::SimulatedProfile profile;  // how the provider behaves, defaults filled in
  int32_t concurrency = 0;       // slots of every target; 0: as configured
  uint64_t first_seed = 1;
  int seeds = 1;
  // Also kills the server, cuts its power, fills its disk and makes the provider fail, as each seed draws it, and
  // checks that no promise is broken: what was answered is not asked again, the items and sinks are those of the
  // undisturbed run.
  bool faults = false;
  const FileAccess& files;  // what the pipeline may read, and where it would write
};

// INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED as CreateRun; FAILED_PRECONDITION where the run would never end.
StatusOr<v1::Simulation> Simulate(const SimulateOptions& options);

}  // namespace millrace::simulator
