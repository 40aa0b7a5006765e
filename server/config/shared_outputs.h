// Stages that would write one file: each replaces it as a whole, so that only one's items would be left.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

// Every store whose file an earlier store writes too, by path. Of fields that are bound their templates are compared:
// once they are bound, look again. Tables of one SQLite database may come from several stores.
std::vector<FieldViolation> SharedOutputs(const v1::Pipeline& pipeline);

}  // namespace millrace
