// The input of a fetch that a client sends: appended to until it is closed, stored before it is acknowledged, read from
// the store.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/status.h"
#include "server/engine/turn.h"
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

  // Appends where `offset` is the end; the same offset again changes nothing. The offset where the next goes.
  // OUT_OF_RANGE (INVALID_FIELD), FAILED_PRECONDITION (WRONG_RUN_STATE: closed), INVALID_ARGUMENT (BAD_ITEM,
  // BAD_ITEM_ID, INVALID_FIELD).
  Task<StatusOr<int64_t>> Append(const FetchStage& fetch, v1::AddItemsRequest request);
  // Nothing can be added any more. Idempotent.
  Task<Status> Close();

  // The items that were added at `offset`; empty: none yet.
  Task<StatusOr<std::vector<v1::InputItem>>> ReadItems(int64_t offset);
  // The bytes from `offset` on, of one part at most; empty: none yet.
  Task<StatusOr<std::string>> ReadBytes(int64_t offset);

 private:
  Store& store_;
  Store& patient_;
  const std::string run_;
  const std::string stage_;
  storage::v1::InputState state_;
  Turn turn_;
};

// Checks items and puts them, and the state of an input that is closed with them, into a batch.
Status PutClosedInput(const FetchStage& fetch, const std::string& run, const std::string& stage,
                      const v1::InlineItems& items, WriteBatch& batch);

}  // namespace millrace
