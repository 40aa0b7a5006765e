// What must hold of a pipeline before anything of it runs, beyond the rules of its fields: the graph, what stages refer
// to, fields that nothing makes, and what stages can't be made of.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class StageRegistry;

// INVALID_ARGUMENT (INVALID_DEFINITION) with everything that is wrong, by path. `pipeline` may have bindings: what they
// set is not looked at before BindParameters, but for what defaults make of it and stages would refuse. Compiles
// gazetteers, so it may take a while.
Status CheckPipeline(const v1::Pipeline& pipeline, const StageRegistry& stages);

// The same as a list.
std::vector<FieldViolation> PipelineViolations(const v1::Pipeline& pipeline, const StageRegistry& stages);

// Those that need no registry: all but the fields that nothing makes and what stages can't be made of.
std::vector<FieldViolation> PipelineViolations(const v1::Pipeline& pipeline);

}  // namespace millrace
