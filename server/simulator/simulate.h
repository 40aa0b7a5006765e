// Simulates a run of a user's pipeline over the user's input before it is paid for: the engine, call layer and stages
// are the real ones and files are really read; only the providers, the store and the sinks are simulated. Time is
// virtual, so waiting costs nothing, and one seed always gives the same answer. CPU time is not predicted.
#pragma once

#include <cstdint>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "millrace/v1/server_config.pb.h"
#include "millrace/v1/simulation.pb.h"
#include "server/base/status.h"
#include "server/files/file_access.h"

namespace millrace::simulator {

struct SimulateOptions {
  v1::Pipeline pipeline;         // checked
  v1::CreateRunRequest request;  // parameters, limit and sample
  // The simulated server's configuration, defaults filled in: models with slots, retries and time limits, and the
  // durability. One simulated provider stands for all backends. A model that is missing here gets one target with
  // default values.
  v1::ServerConfig config;
  v1::SimulatedProfile profile;  // behaviour of the provider, defaults filled in
  int32_t concurrency = 0;       // slots of every target; 0: as configured
  uint64_t first_seed = 1;
  int seeds = 1;
  // Also kills the server, cuts its power, fills its disk and makes the provider fail, as each seed draws it. Then
  // checks that no promise is broken: no answered question is sent again, and items and sinks are those of a run
  // without faults.
  bool faults = false;
  const FileAccess& files;  // paths that the pipeline may read, and write to
};

// Runs all seeds. Errors: INVALID_ARGUMENT, NOT_FOUND and PERMISSION_DENIED as CreateRun; INTERNAL if a run would never
// end.
StatusOr<v1::Simulation> Simulate(const SimulateOptions& options);

}  // namespace millrace::simulator
