// Stages that would write a file that another stage reads or writes. A file is replaced as a whole: only the items of
// one stage would be left in it, or nothing of an input.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class FileAccess;
class StageRegistry;

// Returns the fields, by path, that name an output file which an earlier stage writes too, which a stage reads, or
// which is a definition file. Several stages may write tables of one SQLite database. A field that is bound is compared
// by its template: call it again once parameters are bound. With `files`, paths are compared by the files that they
// lead to, links followed (blocks).
std::vector<FieldViolation> SharedOutputs(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                          const FileAccess* files = nullptr);

}  // namespace millrace
