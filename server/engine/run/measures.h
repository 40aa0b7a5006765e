// Figures that a pipeline defines (`measures`), computed from the rows of an ended run.
#pragma once

#include <vector>

#include "millrace/v1/run.pb.h"
#include "server/engine/step/step_host.h"

namespace millrace {

// Returns the figures in the pipeline's order. Reads all rows of their stages; computes on the pool.
Task<StatusOr<std::vector<v1::MeasureValue>>> TakeMeasures(StepHost& host, const v1::Pipeline& definition);

}  // namespace millrace
