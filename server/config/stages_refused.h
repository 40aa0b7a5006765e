// What the kinds of stages refuse: what only making a stage tells, such as a template that does not end.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class StageRegistry;

// By path, of a pipeline whose parameters have their defaults (BindDefaults). What a binding that is left sets is not
// known, so neither that field nor what may be judged by it is told: BindParameters and the making of the run tell it.
// No file is touched but the definition files that are part of the pipeline.
std::vector<FieldViolation> StagesRefused(const v1::Pipeline& pipeline, const StageRegistry& stages);

}  // namespace millrace
