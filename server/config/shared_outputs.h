// Stages that would write a file that is not theirs alone: a store replaces it as a whole, so that only one store's
// items would be left, or nothing of what a fetch reads.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

class FileAccess;

// Every store whose file an earlier store writes too, a fetch reads or a stage is defined by, by path. Of fields that
// are bound their templates are compared: once they are bound, look again. Tables of one SQLite database may come from
// several stores. With `files` paths are compared by the files that they lead to, links followed (blocks).
std::vector<FieldViolation> SharedOutputs(const v1::Pipeline& pipeline, const FileAccess* files = nullptr);

}  // namespace millrace
