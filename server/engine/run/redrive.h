// Taking back items of an ended run, so that they are worked on again, and with them all that depends on them.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/v1/run_service.pb.h"
#include "server/engine/step/step.h"

namespace millrace {

// How many items a request names. NOT_FOUND (STAGE_NOT_FOUND, ITEM_NOT_FOUND).
Task<StatusOr<int64_t>> CountRedriven(StepHost& host, const v1::RedriveRunRequest& request);

// Opens every stage again that has such items, and those that depend on them; of barriers and sinks, and all after
// them, nothing is kept but their memos. The caller commits the batch, with the request in the run's record.
void OpenStages(StepHost& host, const v1::RedriveRunRequest& request, WriteBatch& batch);

// Deletes the items, page by page; each page is whole in itself, so that after a crash it goes on.
Task<Status> TakeBack(StepHost& host, const v1::RedriveRunRequest& request);

}  // namespace millrace
