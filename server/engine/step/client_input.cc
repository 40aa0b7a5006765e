#include "server/engine/step/client_input.h"

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
constexpr int kPartItems = 500;  // so that a part fits in memory easily

Status Invalid(const std::string& message) { return MakeError(Reason::kInvalidField, message); }

// Error: the client sends something else than it sent before.
Status Differs(const std::string& message) { return MakeError(Reason::kRequestIdReused, message); }

Status TakesNoMore(const storage::v1::InputState& state) {
  return MakeError(Reason::kWrongRunState, state.closed() ? "the input is closed" : "the run has ended");
}

bool IsSame(char a, char b) { return a == b; }
bool IsSame(const v1::InputItem& a, const v1::InputItem& b) { return a.id() == b.id() && a.json() == b.json(); }

// Returns the number of items or bytes of a part.
int64_t PartSize(const storage::v1::InputRecord& part) {
  return part.items().empty() ? static_cast<int64_t>(part.data().size()) : part.items_size();
}

// Returns the number of equal elements from two positions on, until either sequence ends.
template <typename Sequence>
int64_t CountSame(const Sequence& kept, int64_t kept_at, const Sequence& sent, int64_t sent_at) {
  const auto begin = kept.begin() + kept_at;
  const auto is_same = [](const auto& a, const auto& b) { return IsSame(a, b); };
  return std::mismatch(begin, kept.end(), sent.begin() + sent_at, sent.end(), is_same).first - begin;
}

// Returns the error of the first bad item.
Status CheckItems(const FetchStage& fetch, const v1::InlineItems& items, int64_t first_row) {
  if (items.items_size() > kItemsMax) {
    return Invalid(fmt::format("items: at most {} in one request, got {}", kItemsMax, items.items_size()));
  }
  for (int i = 0; i < items.items_size(); ++i) {
    const FetchedRow row = fetch.FromClient(items.items(i), first_row + i);
    if (row.item.state == v1::ITEM_STATE_FAILED) {
      return MakeError(static_cast<Reason>(row.item.reason), fmt::format("items[{}]: {}", i, row.item.message));
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

Task<StatusOr<int64_t>> ClientInput::Append(const FetchStage* fetch, v1::AddItemsRequest request) {
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  const int64_t end = state_.next_offset();
  if (request.offset() < 0) co_return Invalid("offset: at least 0");
  if (request.offset() > end && fetch == nullptr) co_return TakesNoMore(state_);
  if (request.offset() > end) {
    co_return MakeError(Reason::kInvalidOffset,
                        fmt::format("offset {} is beyond the end of the input, {}", request.offset(), end));
  }
  const bool items = request.has_items();
  const int64_t size = items ? request.items().items_size() : static_cast<int64_t>(request.data().size());
  if (size == 0) co_return end;  // it only asks for the end
  if (end > 0 && state_.items() != items) co_return Invalid("an input takes items or bytes, not both");
  if (!items && request.data().size() > kDataBytesMax) co_return Invalid("data: at most 1 MiB in one request");
  const int64_t kept = std::min(end - request.offset(), size);
  MR_CO_RETURN_IF_ERROR(co_await CompareUntil(request.offset() + kept, request));
  if (kept == size) co_return end;  // all of it was sent before
  if (state_.closed() || fetch == nullptr) co_return TakesNoMore(state_);
  if (!items && fetch->MakeReader() == nullptr) co_return Invalid("data: this fetch takes items");
  WriteBatch batch;
  if (items) {
    MR_CO_RETURN_IF_ERROR(CheckItems(*fetch, request.items(), request.offset() + 1));
    request.mutable_items()->mutable_items()->DeleteSubrange(0, static_cast<int>(kept));
    PutItems(run_, stage_, request.items(), end, batch);
  } else {
    storage::v1::InputRecord part;
    part.set_data(std::move(*request.mutable_data()));
    part.mutable_data()->erase(0, static_cast<size_t>(kept));
    PutRecord(batch, InputKey(run_, stage_, end), part);
  }
  storage::v1::InputState state = state_;
  state.set_next_offset(request.offset() + size);
  state.set_items(items);
  PutRecord(batch, InputStateKey(run_, stage_), state);
  MR_CO_RETURN_IF_ERROR(co_await store_.Commit(std::move(batch)));
  state_ = std::move(state);
  co_return state_.next_offset();
}

Task<Status> ClientInput::Close(std::optional<int64_t> end) {
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  if (end) MR_CO_RETURN_IF_ERROR(CheckEnd(*end));
  if (state_.closed()) co_return absl::OkStatus();
  storage::v1::InputState state = state_;
  state.set_closed(true);
  WriteBatch batch;
  PutRecord(batch, InputStateKey(run_, stage_), state);
  MR_CO_RETURN_IF_ERROR(co_await store_.Commit(std::move(batch)));
  state_ = std::move(state);
  co_return absl::OkStatus();
}

Status ClientInput::CheckEnd(int64_t end) const {
  const int64_t is = state_.next_offset();
  if (end == is) return absl::OkStatus();
  if (end < 0) return Invalid("end_offset: at least 0");
  if (state_.closed()) return Differs(fmt::format("end_offset {}: the input was closed at {} before", end, is));
  if (end < is) return Differs(fmt::format("end_offset {}: {} were sent before", end, is));
  return MakeError(Reason::kInvalidOffset, fmt::format("end_offset {} is beyond the end of the input, {}", end, is));
}

Task<Status> ClientInput::CompareUntil(int64_t end, const v1::AddItemsRequest& request) const {
  for (int64_t offset = request.offset(); offset < end;) {
    MR_CO_ASSIGN_OR_RETURN(auto part, co_await ReadPart(store_, offset));
    const int64_t sent_at = offset - request.offset();
    const int64_t same = request.has_items() ? CountSame(part.record.items(), part.at, request.items().items(), sent_at)
                                             : CountSame(part.record.data(), part.at, request.data(), sent_at);
    const int64_t part_end = offset + PartSize(part.record) - part.at;
    offset += same;
    if (offset < std::min(end, part_end)) {
      co_return Differs(
          fmt::format("offset {}: another {} was sent before", offset, request.has_items() ? "item" : "byte"));
    }
  }
  co_return absl::OkStatus();
}

Task<StatusOr<std::vector<v1::InputItem>>> ClientInput::ReadItems(int64_t offset) {
  std::string key = InputKey(run_, stage_, offset);
  MR_CO_ASSIGN_OR_RETURN(auto record, co_await GetRecord<storage::v1::InputRecord>(patient_, std::move(key)));
  std::vector<v1::InputItem> items;
  if (record) {
    for (v1::InputItem& item : *record->mutable_items()) items.push_back(std::move(item));
  }
  co_return items;
}

Task<StatusOr<std::string>> ClientInput::ReadBytes(int64_t offset) {
  if (offset >= state_.next_offset()) co_return std::string();
  MR_CO_ASSIGN_OR_RETURN(auto part, co_await ReadPart(patient_, offset));
  co_return part.record.data().substr(static_cast<size_t>(part.at));
}

Task<StatusOr<ClientInput::Part>> ClientInput::ReadPart(Store& store, int64_t offset) const {
  // The part that holds `offset` is the last that begins at or before it.
  auto [begin, end] = InputKeys(run_, stage_, 0, offset + 1);
  MR_CO_ASSIGN_OR_RETURN(auto page,
                         co_await store.Scan(std::move(begin), std::move(end), 1, 1, Store::Direction::kBackwards));
  Part part;
  if (!page.entries.empty()) {
    const StoreEntry& entry = page.entries.front();
    MR_CO_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, part.record));
    part.at = offset - LastNumberOf(entry.key);
  }
  if (part.at >= PartSize(part.record)) {
    co_return MakeError(Reason::kStoreCorrupt, "a part of the input is missing");
  }
  co_return part;
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
