// The input of a fetch that a client sends: appended to until it is closed, stored before it is acknowledged, read from
// the store.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/status.h"
#include "server/engine/async_mutex.h"
#include "server/stages/stage.h"
#include "server/storage/store.h"

namespace millrace {

// Engine thread.
class ClientInput {
 public:
  // Clients append to `store`; a run reads by `patient`.
  ClientInput(Loop& loop, Store& store, Store& patient, std::string run, std::string stage,
              storage::v1::InputState state);

  const storage::v1::InputState& state() const { return state_; }

  // Appends what reaches beyond the end; what is before it must be the same as was sent there. The end. `fetch` null:
  // the run has ended and takes no more. ALREADY_EXISTS (REQUEST_ID_REUSED: something else was sent there),
  // OUT_OF_RANGE (INVALID_FIELD), FAILED_PRECONDITION (WRONG_RUN_STATE: closed or ended), INVALID_ARGUMENT (BAD_ITEM,
  // BAD_ITEM_ID, INVALID_FIELD).
  Task<StatusOr<int64_t>> Append(const FetchStage* fetch, v1::AddItemsRequest request);
  // Nothing can be added any more. Idempotent. Errors of CheckEnd where an end is given.
  Task<Status> Close(std::optional<int64_t> end);
  // Whether the input can end there: ALREADY_EXISTS (REQUEST_ID_REUSED) where it is longer or closed elsewhere,
  // OUT_OF_RANGE (INVALID_FIELD) where it is not that long yet.
  Status CheckEnd(int64_t end) const;

  // The items that were added at `offset`; empty: none yet.
  Task<StatusOr<std::vector<v1::InputItem>>> ReadItems(int64_t offset);
  // The bytes from `offset` on, of one part at most; empty: none yet.
  Task<StatusOr<std::string>> ReadBytes(int64_t offset);

 private:
  // A stored part, and where in it something is.
  struct Part {
    storage::v1::InputRecord record;
    int64_t at = 0;
  };

  // The part with the item or byte at `offset`, which is before the end.
  Task<StatusOr<Part>> ReadPart(Store& store, int64_t offset) const;
  // Compares what of the request is before `end` with what is stored there: a part in memory at a time.
  Task<Status> CompareUntil(int64_t end, const v1::AddItemsRequest& request) const;

  Store& store_;
  Store& patient_;
  const std::string run_;
  const std::string stage_;
  storage::v1::InputState state_;
  AsyncMutex turn_;
};

// Checks items and puts them, and the state of an input that is closed with them, into a batch.
Status PutClosedInput(const FetchStage& fetch, const std::string& run, const std::string& stage,
                      const v1::InlineItems& items, WriteBatch& batch);

}  // namespace millrace
