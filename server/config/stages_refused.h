// Check of stages by their kinds: problems that only making a stage finds, such as a template that does not end.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class StageRegistry;

// Returns the problems by path. REQUIRES: defaults are put into the pipeline (Bindings::BindDefaults). A field that is
// still bound is not known, so problems of it, and of fields that are judged together with it, are left out: creating
// the run reports them. Reads no file but the definition files that are part of the pipeline.
std::vector<FieldViolation> StagesRefused(const v1::Pipeline& pipeline, const StageRegistry& stages);

}  // namespace millrace
