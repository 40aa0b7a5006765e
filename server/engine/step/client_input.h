// Input of a fetch that a client sends. Parts are appended until it is closed; each is stored before it is
// acknowledged, and read from the store.
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
#include "server/stages/fetch_stage.h"
#include "server/storage/store.h"

namespace millrace {

// Engine thread.
class ClientInput {
 public:
  // Clients append to `store`, whose errors they get; a run reads from `patient`, which waits while the store is down.
  ClientInput(Loop& loop, Store& store, Store& patient, std::string run, std::string stage,
              storage::v1::InputState state);

  const storage::v1::InputState& state() const { return state_; }

  // Appends the part beyond the current end; the overlap must equal what is stored. Returns the new end. `fetch` null:
  // the run has ended and takes no more. Errors: ALREADY_EXISTS (REQUEST_ID_REUSED: the overlap differs), OUT_OF_RANGE
  // (INVALID_OFFSET: `offset` is beyond the end), FAILED_PRECONDITION (WRONG_RUN_STATE: closed or ended),
  // INVALID_ARGUMENT (BAD_ITEM, BAD_ITEM_ID, INVALID_FIELD).
  Task<StatusOr<int64_t>> Append(const FetchStage* fetch, v1::AddItemsRequest request);
  // Closes the input: nothing can be added any more. Idempotent. Errors: those of CheckEnd, if an end is given.
  Task<Status> Close(std::optional<int64_t> end);
  // Checks that the input can end there. Errors: ALREADY_EXISTS (REQUEST_ID_REUSED) if it is longer or was closed at
  // another end, OUT_OF_RANGE (INVALID_OFFSET) if it is shorter, INVALID_ARGUMENT (INVALID_FIELD) if `end` is negative.
  Status CheckEnd(int64_t end) const;

  // Returns the items that were added at `offset`; empty: none yet.
  Task<StatusOr<std::vector<v1::InputItem>>> ReadItems(int64_t offset);
  // Returns the bytes from `offset` on, at most those of one part; empty: none yet.
  Task<StatusOr<std::string>> ReadBytes(int64_t offset);

 private:
  // A stored part and a position in it.
  struct Part {
    storage::v1::InputRecord record;
    int64_t at = 0;
  };

  // Returns the part with the item or byte at `offset`. REQUIRES: `offset` is before the end.
  Task<StatusOr<Part>> ReadPart(Store& store, int64_t offset) const;
  // Compares the request's items or bytes before `end` with those stored, one part in memory at a time.
  Task<Status> CompareUntil(int64_t end, const v1::AddItemsRequest& request) const;

  Store& store_;
  Store& patient_;
  const std::string run_;
  const std::string stage_;
  storage::v1::InputState state_;
  AsyncMutex turn_;
};

// Checks items and puts them into a batch as an input that is closed after them.
Status PutClosedInput(const FetchStage& fetch, const std::string& run, const std::string& stage,
                      const v1::InlineItems& items, WriteBatch& batch);

}  // namespace millrace
