// Fields that a stage reads and nothing before it makes.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class StageRegistry;

// By path, with the nearest field that is made. Where it is not known what a source has (a CSV file's columns), nothing
// is said. A graph with unknown or cyclic needs is passed over as far as it goes.
std::vector<FieldViolation> FieldsReadUnmade(const v1::Pipeline& pipeline, const StageRegistry& stages);

}  // namespace millrace
