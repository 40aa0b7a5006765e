// Checks of a pipeline as a whole, beyond the rules of its fields: the graph of stages, references, fields that no
// stage makes, shared output files, and definitions that a kind refuses.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class StageRegistry;

// Checks a pipeline. INVALID_ARGUMENT (INVALID_DEFINITION) with every problem, by path. A field that is bound is
// checked with the defaults of its parameters, if they suffice for it; else BindParameters checks it. Compiles
// gazetteers, so it may take seconds.
Status CheckPipeline(const v1::Pipeline& pipeline, const StageRegistry& stages);

// Returns the problems as a list. A stage whose kind is not in `stages` is checked by the rules of its fields alone.
std::vector<FieldViolation> PipelineViolations(const v1::Pipeline& pipeline, const StageRegistry& stages);

// Returns what is allowed and hardly meant, by path: for warnings.
std::vector<FieldViolation> PipelineDoubts(const v1::Pipeline& pipeline, const StageRegistry& stages);

}  // namespace millrace
