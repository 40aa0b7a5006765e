#include "server/engine/client_input.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "server/storage/inputs.h"
#include "server/storage/items.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

constexpr size_t kDataBytesMax = 1 << 20;
constexpr int kItemsMax = 10'000;
constexpr int kPartItems = 500;  // so that what is read at once stays small

Status Invalid(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_FIELD", message);
}

// The first item that can't be taken.
Status CheckItems(const FetchStage& fetch, const v1::InlineItems& items, int64_t first_row) {
  if (items.items_size() > kItemsMax) {
    return Invalid(fmt::format("items: at most {} in one request, got {}", kItemsMax, items.items_size()));
  }
  for (int i = 0; i < items.items_size(); ++i) {
    const FetchedRow row = fetch.FromClient(items.items(i), first_row + i);
    if (row.item.state == v1::ITEM_STATE_FAILED) {
      std::string reason = v1::ErrorReason_Name(row.item.reason);
      reason.erase(0, std::string("ERROR_REASON_").size());
      return MakeError(absl::StatusCode::kInvalidArgument, reason, fmt::format("items[{}]: {}", i, row.item.message));
    }
  }
  return absl::OkStatus();
}

void PutItems(const std::string& run, const std::string& stage, const v1::InlineItems& items, int64_t offset,
              WriteBatch& batch) {
  for (int begin = 0; begin < items.items_size(); begin += kPartItems) {
    storage::v1::InputRecord part;
    for (int i = begin; i < std::min(begin + kPartItems, items.items_size()); ++i) *part.add_items() = items.items(i);
    PutRecord(batch, InputKey(run, stage, offset + begin), part);
  }
}

}  // namespace

ClientInput::ClientInput(Loop& loop, Store& store, Store& patient, std::string run, std::string stage,
                         storage::v1::InputState state)
    : store_(store),
      patient_(patient),
      run_(std::move(run)),
      stage_(std::move(stage)),
      state_(std::move(state)),
      turn_(loop) {}

Task<StatusOr<int64_t>> ClientInput::Append(const FetchStage& fetch, v1::AddItemsRequest request) {
  const Turn::Holder holder = co_await turn_.Enter();
  if (request.offset() < 0) co_return Invalid("offset: at least 0");
  if (request.offset() > state_.next_offset()) {
    co_return MakeError(
        absl::StatusCode::kOutOfRange, "INVALID_FIELD",
        fmt::format("offset {} is beyond the end of the input, {}", request.offset(), state_.next_offset()));
  }
  if (request.offset() < state_.next_offset()) co_return state_.next_offset();  // it came before
  if (state_.closed()) {
    co_return MakeError(absl::StatusCode::kFailedPrecondition, "WRONG_RUN_STATE", "the input is closed");
  }
  const bool items = request.has_items();
  const int64_t size = items ? request.items().items_size() : static_cast<int64_t>(request.data().size());
  if (request.content_case() == v1::AddItemsRequest::CONTENT_NOT_SET || size == 0) co_return state_.next_offset();
  if (state_.next_offset() > 0 && state_.items() != items) {
    co_return Invalid("an input takes items or bytes, not both");
  }
  if (!items && fetch.MakeReader() == nullptr) co_return Invalid("data: this fetch takes items");
  WriteBatch batch;
  if (items) {
    MR_CO_RETURN_IF_ERROR(CheckItems(fetch, request.items(), state_.next_offset() + 1));
    PutItems(run_, stage_, request.items(), state_.next_offset(), batch);
  } else {
    if (request.data().size() > kDataBytesMax) co_return Invalid("data: at most 1 MiB in one request");
    storage::v1::InputRecord part;
    part.set_data(std::move(*request.mutable_data()));
    PutRecord(batch, InputKey(run_, stage_, state_.next_offset()), part);
  }
  storage::v1::InputState state = state_;
  state.set_next_offset(state.next_offset() + size);
  state.set_items(items);
  PutRecord(batch, InputStateKey(run_, stage_), state);
  MR_CO_RETURN_IF_ERROR(co_await store_.Commit(std::move(batch)));
  state_ = std::move(state);
  co_return state_.next_offset();
}

Task<Status> ClientInput::Close() {
  const Turn::Holder holder = co_await turn_.Enter();
  if (state_.closed()) co_return absl::OkStatus();
  storage::v1::InputState state = state_;
  state.set_closed(true);
  WriteBatch batch;
  PutRecord(batch, InputStateKey(run_, stage_), state);
  MR_CO_RETURN_IF_ERROR(co_await store_.Commit(std::move(batch)));
  state_ = std::move(state);
  co_return absl::OkStatus();
}

Task<StatusOr<std::vector<v1::InputItem>>> ClientInput::ReadItems(int64_t offset) {
  std::string key = InputKey(run_, stage_, offset);
  auto record = co_await GetRecord<storage::v1::InputRecord>(patient_, std::move(key));
  if (!record.ok()) co_return record.status();
  std::vector<v1::InputItem> items;
  if (*record) {
    for (v1::InputItem& item : *(*record)->mutable_items()) items.push_back(std::move(item));
  }
  co_return items;
}

Task<StatusOr<std::string>> ClientInput::ReadBytes(int64_t offset) {
  if (offset >= state_.next_offset()) co_return std::string();
  // The part that holds `offset` is the last that begins at or before it.
  auto [begin, end] = InputKeys(run_, stage_, 0, offset + 1);
  auto page = co_await patient_.Scan(std::move(begin), std::move(end), 1, 1, Store::Direction::kBackwards);
  if (!page.ok()) co_return page.status();
  if (page->entries.empty())
    co_return MakeError(absl::StatusCode::kDataLoss, "STORE_CORRUPT", "a part of the input is gone");
  storage::v1::InputRecord part;
  const StoreEntry& entry = page->entries.front();
  MR_CO_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, part));
  const int64_t part_begin = LastNumberOf(entry.key);
  if (offset - part_begin >= static_cast<int64_t>(part.data().size())) {
    co_return MakeError(absl::StatusCode::kDataLoss, "STORE_CORRUPT", "a part of the input is gone");
  }
  co_return part.data().substr(static_cast<size_t>(offset - part_begin));
}

Status PutClosedInput(const FetchStage& fetch, const std::string& run, const std::string& stage,
                      const v1::InlineItems& items, WriteBatch& batch) {
  MR_RETURN_IF_ERROR(CheckItems(fetch, items, 1));
  PutItems(run, stage, items, 0, batch);
  storage::v1::InputState state;
  state.set_next_offset(items.items_size());
  state.set_items(true);
  state.set_closed(true);
  PutRecord(batch, InputStateKey(run, stage), state);
  return absl::OkStatus();
}

}  // namespace millrace
