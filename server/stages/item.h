// An item on its way into a stage, and the item that a stage makes of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/error_reason.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/llm/settlement.h"
#include "server/stages/oddity.h"

namespace millrace {

// Item on its way into a stage. `json` is shared between stages: items are never changed in place.
struct InputItem {
  int64_t ordinal = 0;
  std::string id;
  std::shared_ptr<const std::string> json;  // one JSON object
  bool degraded = false;                    // a fallback made it
};

// Result of a stage for one item; for a barrier, an item that it made.
struct StageItem {
  v1::ItemState state = v1::ITEM_STATE_OK;  // OK, DEGRADED, FAILED, SKIPPED
  std::string id;                           // empty: the input's id
  std::string json;                         // one JSON object; set for OK and DEGRADED
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  std::string message;
  std::vector<std::string> notes;      // rules that changed something; for a merge, its decisions
  std::vector<std::string> input_ids;  // ids of the input items that it was made of; empty: its one input item
  Oddities oddities;                   // what is odd about its input item; for a barrier, see ItemWriter::Note
  std::vector<Digest> call_keys;
  storage::v1::CallTotals totals;
  Settlement settlement;    // of its calls; the batch is committed with the item
  bool stopped = false;     // the run was paused or cancelled before there was a result: the item stays open
  int64_t wake_micros = 0;  // not 0: park the item until this wall time, then process it again
};

// Returns an item that failed.
StageItem FailedItem(v1::ErrorReason reason, std::string message);
// Returns an item that failed with an error, for the error's reason.
StageItem FailedItem(const Status& status);
// Returns an item that was skipped.
StageItem SkippedItem(v1::ErrorReason reason, std::string message);

}  // namespace millrace
