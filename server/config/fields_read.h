// Check that a stage reads only fields that the stages before it make.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class StageRegistry;

// Returns the fields that are read and not made, by path, each with the nearest field that is made. Returns nothing
// about items whose fields are not known (the columns of a CSV file), nor about stages with unknown or cyclic needs.
std::vector<FieldViolation> FieldsReadUnmade(const v1::Pipeline& pipeline, const StageRegistry& stages);

}  // namespace millrace
