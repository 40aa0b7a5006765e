// Redrive of an ended run: deletes the results of items and of everything that depends on them, so that they are
// computed again.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/v1/run_service.pb.h"
#include "server/engine/step/step_host.h"

namespace millrace {

// Returns the number of items that a request names. Error: NOT_FOUND (STAGE_NOT_FOUND, ITEM_NOT_FOUND).
Task<StatusOr<int64_t>> CountRedriven(StepHost& host, const v1::RedriveRunRequest& request);

// Reopens every stage that has such items, and the stages that depend on them. Barriers and sinks among these, and all
// stages after them, lose all rows but keep their memos. The caller commits the batch together with the run's record,
// which has the request.
void OpenStages(StepHost& host, const v1::RedriveRunRequest& request, WriteBatch& batch);

// Deletes the items page by page. Each page is one commit, so that it can be continued after a crash.
Task<Status> TakeBack(StepHost& host, const v1::RedriveRunRequest& request);

}  // namespace millrace
