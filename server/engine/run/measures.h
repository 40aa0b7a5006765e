// Figures that a pipeline defines (`measures`), computed from the rows of an ended run.
#pragma once

#include <string>
#include <vector>

#include "millrace/v1/run.pb.h"
#include "server/engine/step/step_host.h"

namespace millrace {

struct TakenMeasures {
  std::vector<v1::MeasureValue> values;  // in the pipeline's order
  std::vector<std::string> warnings;     // about values that figures left out and that were probably meant
};

// Returns the figures. Reads all rows of their stages; computes on the pool.
Task<StatusOr<TakenMeasures>> TakeMeasures(StepHost& host, const v1::Pipeline& definition);

}  // namespace millrace
