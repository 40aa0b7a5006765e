// Counts of a stage as clients see them, from the records of its run's stages, whether the run is in memory or not.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/engine/plan.h"
#include "server/llm/live_attempts.h"
#include "server/storage/taken_over.h"

namespace millrace {

// Returns true if readers may see the stage's items. A barrier's are seen when it is done, because a crash restarts it.
bool IsReadable(StageShape shape, const storage::v1::StageRecord& record);

// Returns the record of a stage by its index in the plan.
using RecordOf = absl::FunctionRef<const storage::v1::StageRecord&(int stage)>;

// Returns true if all stages that the stage needs are done, so that nothing more comes in.
bool InputClosed(const Plan& plan, int stage, RecordOf record_of);
// Returns the number of items that the stage takes in, as far as it is known.
int64_t ItemsIn(const Plan& plan, int stage, RecordOf record_of);
// Returns the counts that clients see. Items that are not readable are not counted.
v1::StageProgress ProgressOf(const Plan& plan, int stage, RecordOf record_of);
// Adds attempts that have begun and that the stage's record does not have yet.
void AddAttempts(const AttemptsByStage& begun, v1::StageProgress& progress);
// Adds what calls have cost.
void AddTotals(v1::StageProgress& progress, const storage::v1::CallTotals& totals);
// Adds the stage's part of what the run paid for and another run has settled.
void AddTakenOver(const TotalsByStage& taken, v1::StageProgress& progress);
// Adds all of it to a run that is not in memory, whose stored counts have what it left at its end.
void AddTakenOver(const TakenOver& taken, v1::Run& run);

}  // namespace millrace
