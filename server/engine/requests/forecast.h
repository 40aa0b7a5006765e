// The forecast of a run: what it would read, look up and ask, without storing or sending anything.
#pragma once

#include <cstdint>

#include "millrace/v1/pipeline_service.pb.h"
#include "server/base/task.h"
#include "server/engine/engine_deps.h"
#include "server/engine/run/run_loader.h"

namespace millrace {

// Forecasts a run of made stages over the sources that their definition names. `limit`: items per fetch; 0: no limit.
Task<StatusOr<v1::PlanPipelineResponse>> Forecast(const EngineDeps& deps, const EngineOptions& options, MadeStages made,
                                                  int64_t limit);

}  // namespace millrace
