// Counts of a stage as clients see them, out of the records of its run's stages: in memory or not.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/engine/run/plan.h"

namespace millrace {

// A stage's items are seen by readers: a barrier's when it is done, since a crash begins it again.
bool IsReadable(StageShape shape, const storage::v1::StageRecord& record);

// The record of a stage by its place in the plan.
using RecordOf = absl::FunctionRef<const storage::v1::StageRecord&(int stage)>;

// All that the stage needs is done: nothing more comes in.
bool InputClosed(const Plan& plan, int stage, RecordOf record_of);
// Items that the stage takes in, as far as they are known.
int64_t ItemsIn(const Plan& plan, int stage, RecordOf record_of);
// Items that are not readable are not counted.
v1::StageProgress ProgressOf(const Plan& plan, int stage, RecordOf record_of);

}  // namespace millrace
