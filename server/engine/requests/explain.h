// Explains how an item came about, from the records alone: what `millrace why` shows.
#pragma once

#include "millrace/v1/run_service.pb.h"
#include "server/base/task.h"
#include "server/engine/run/runs.h"

namespace millrace {

// Explains an item in each stage that it went through, in the plan's order. Reads a few records per stage and call.
// Prompts and answers are cut to 64 KiB, ids of inputs to 1,000. NOT_FOUND (RUN_NOT_FOUND, ITEM_NOT_FOUND).
Task<StatusOr<v1::ExplainItemResponse>> ExplainItem(Store& store, Runs& runs, v1::ExplainItemRequest request);

}  // namespace millrace
