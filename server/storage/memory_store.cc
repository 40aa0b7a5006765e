#include "server/storage/memory_store.h"

#include <algorithm>
#include <iterator>

#include "server/storage/value_codec.h"

namespace millrace {
namespace {

Status Unavailable(std::string_view what) { return MakeError(Reason::kStoreUnavailable, what); }

using Data = std::map<std::string, std::string>;

// Returns the entries with begin <= key < end, or all from `begin` on if `end` is empty.
std::pair<Data::const_iterator, Data::const_iterator> Range(const Data& data, const std::string& begin,
                                                            const std::string& end) {
  const auto first = data.lower_bound(begin);
  if (end.empty()) return {first, data.end()};
  if (end <= begin) return {first, first};
  return {first, data.lower_bound(end)};
}

ScanPage ScanForwards(const Data& data, const std::string& begin, const std::string& end, size_t entries_max,
                      size_t bytes_max) {
  ScanPage page;
  size_t bytes = 0;
  auto [entry, last] = Range(data, begin, end);
  for (; entry != last; ++entry) {
    if (!page.entries.empty() && (page.entries.size() >= entries_max || bytes >= bytes_max)) {
      page.next = entry->first;
      break;
    }
    bytes += PlainSize(entry->second);
    page.entries.push_back({entry->first, entry->second});
  }
  return page;
}

ScanPage ScanBackwards(const Data& data, const std::string& begin, const std::string& end, size_t entries_max,
                       size_t bytes_max) {
  ScanPage page;
  size_t bytes = 0;
  auto [first, entry] = Range(data, begin, end);
  while (entry != first) {
    --entry;
    if (!page.entries.empty() && (page.entries.size() >= entries_max || bytes >= bytes_max)) {
      page.next = page.entries.back().key;
      break;
    }
    bytes += PlainSize(entry->second);
    page.entries.push_back({entry->first, entry->second});
  }
  return page;
}

}  // namespace

void MemoryDisk::Write(const WriteBatch& batch) {
  Undo undo;
  const auto put = [&](const std::string& key, std::optional<std::string> value) {
    const auto found = data_.find(key);
    undo.emplace_back(key, found == data_.end() ? std::nullopt : std::optional(found->second));
    if (value) {
      data_.insert_or_assign(key, *std::move(value));
    } else if (found != data_.end()) {
      data_.erase(found);
    }
  };
  for (const WriteBatch::Change& change : batch.changes()) {
    switch (change.kind) {
      case WriteBatch::Kind::kPut:
        put(change.key, change.value);
        break;
      case WriteBatch::Kind::kDelete:
        put(change.key, std::nullopt);
        break;
      case WriteBatch::Kind::kDeleteRange: {
        auto entry = data_.lower_bound(change.key);
        while (entry != data_.end() && entry->first < change.value) {
          undo.emplace_back(entry->first, std::move(entry->second));
          entry = data_.erase(entry);
        }
        break;
      }
    }
  }
  undos_.push_back(std::move(undo));
  ++written_;
  if (room_) *room_ -= static_cast<int64_t>(batch.bytes());
}

void MemoryDisk::MarkSynced(uint64_t up_to) {
  while (!undos_.empty() && written_ - undos_.size() < up_to) undos_.pop_front();
}

void MemoryDisk::UndoLast() {
  Undo undo = std::move(undos_.back());
  undos_.pop_back();
  for (auto change = undo.rbegin(); change != undo.rend(); ++change) {
    if (change->second) {
      data_.insert_or_assign(change->first, *std::move(change->second));
    } else {
      data_.erase(change->first);
    }
  }
  --written_;
}

void MemoryDisk::LoseUnsynced(Random& random) {
  const uint64_t kept = random.Below(undos_.size() + 1);
  while (undos_.size() > kept) UndoLast();
  undos_.clear();
}

void MemoryDisk::SetRoom(std::optional<int64_t> bytes) {
  room_ = bytes;
  if (on_room_) on_room_();
}

bool MemoryDisk::FlipBit(const std::string& key, uint64_t bit) {
  const auto found = data_.find(key);
  if (found == data_.end() || found->second.empty()) return false;
  bit %= found->second.size() * 8;
  found->second[bit / 8] = static_cast<char>(found->second[bit / 8] ^ (1 << (bit % 8)));
  return true;
}

// A batch, and the promise that its Commit awaits.
struct MemoryStore::Ticket {
  Ticket(Loop& loop, WriteBatch changes, CommitMode how) : batch(std::move(changes)), mode(how), done(loop) {}

  WriteBatch batch;
  CommitMode mode;
  Promise<Status> done;
};

MemoryStore::MemoryStore(Loop& loop, MemoryDisk& disk, MemoryStoreOptions options)
    : loop_(loop), disk_(disk), options_(options), state_(StoreState::kOk), changed_(loop) {
  state_ = StateByRoom();
  disk_.on_room_ = [this] {
    room_timer_ = loop_.CallAt(loop_.Now(), [this] {
      if (state_ != StoreState::kReopening) return SetState(StateByRoom());
      const bool room_again = full_at_ && (!disk_.room() || *disk_.room() > *full_at_);
      if (room_again) Reopen();
    });
  };
  // Batches that an earlier store left unsynced are synced as the mode asks.
  StartSyncTimer();
}

MemoryStore::~MemoryStore() { disk_.on_room_ = nullptr; }

Task<Status> MemoryStore::Commit(WriteBatch batch, CommitMode mode) {
  if (state_ == StoreState::kReopening) {
    co_await loop_.Yield();
    co_return Unavailable("the store is being reopened");
  }
  const auto ticket = std::make_shared<Ticket>(loop_, std::move(batch), mode);
  queue_.push_back(ticket);
  if (!writing_) {
    writing_ = true;
    loop_.Spawn(WriteQueue());
  }
  if (options_.mutant == MemoryMutant::kAckBeforeStore) {
    co_await loop_.Yield();
    co_return absl::OkStatus();
  }
  co_await ticket->done.Wait();
  co_return ticket->done.value();
}

// Writes groups until the queue is empty. Batches that arrive while a group is written and synced are the next group,
// as in RocksStore.
Task<void> MemoryStore::WriteQueue() {
  while (!queue_.empty()) {
    Group group;
    group.swap(queue_);
    co_await loop_.Sleep(options_.write_cost);
    if (options_.mutant == MemoryMutant::kReorder) {
      std::move(queue_.begin(), queue_.end(), std::back_inserter(group));
      queue_.clear();
      std::reverse(group.begin(), group.end());
    }
    if (!WriteGroup(group)) break;
    const bool durable = std::any_of(group.begin(), group.end(),
                                     [](const auto& ticket) { return ticket->mode == CommitMode::kDurable; });
    if (durable && options_.durability.mode == Durability::Mode::kSync) {
      if (options_.mutant == MemoryMutant::kAckBeforeSync) Finish(group, absl::OkStatus());
      co_await loop_.Sleep(options_.sync_cost);
      if (SyncFails()) {
        // A prefix of the group may stay on the disk, because no batch of it was acknowledged.
        const size_t written = group.size();
        FailWith(std::move(group), written);
        break;
      }
      disk_.MarkSynced(disk_.written());
    }
    StartSyncTimer();
    Finish(group, absl::OkStatus());
  }
  writing_ = false;
}

bool MemoryStore::WriteGroup(Group& group) {
  size_t bytes = 0;
  for (const auto& ticket : group) bytes += ticket->batch.bytes();
  const bool full = !disk_.HasRoomFor(bytes);
  if (full || disk_.faults.commits > 0) {
    if (full) {
      full_at_ = *disk_.room();
    } else {
      --disk_.faults.commits;
    }
    FailWith(std::move(group), 0);
    return false;
  }
  ++figures_.commits;
  for (const auto& ticket : group) {
    ++figures_.batches;
    if (options_.mutant == MemoryMutant::kSkipCommit && figures_.batches % options_.mutant_every == 0) continue;
    disk_.Write(ticket->batch);
  }
  SetState(StateByRoom());
  return true;
}

bool MemoryStore::SyncFails() {
  if (disk_.faults.syncs > 0) {
    --disk_.faults.syncs;
    return true;
  }
  ++figures_.syncs;
  return false;
}

void MemoryStore::Finish(const Group& group, const Status& status) {
  for (const auto& ticket : group) ticket->done.Set(status);
}

// Fails a group, whose batches are the last `written` of the disk, and all batches queued after it; then reopens.
void MemoryStore::FailWith(Group group, size_t written) {
  const uint64_t lost = std::min<uint64_t>(disk_.random_.Below(written + 1), disk_.unsynced());
  for (uint64_t i = 0; i < lost; ++i) disk_.UndoLast();
  Group queue;
  queue.swap(queue_);
  const Status status = Unavailable("the store could not write");
  SetState(StoreState::kReopening);
  Finish(group, status);
  Finish(queue, status);
  if (!full_at_) Reopen();  // a full disk is reopened when it has room
}

void MemoryStore::Reopen() {
  reopen_timer_ = loop_.CallAt(loop_.Now() + options_.reopen_delay, [this] {
    full_at_.reset();
    // A reopening syncs the content of the log.
    disk_.MarkSynced(disk_.written());
    SetState(StateByRoom());
  });
}

void MemoryStore::StartSyncTimer() {
  if (options_.durability.mode != Durability::Mode::kInterval || disk_.unsynced() == 0 || sync_due_) return;
  sync_due_ = true;
  sync_timer_ = loop_.CallAt(loop_.Now() + options_.durability.interval, [this] { loop_.Spawn(SyncLater()); });
}

Task<void> MemoryStore::SyncLater() {
  const uint64_t written = disk_.written();
  co_await loop_.Sleep(options_.sync_cost);
  sync_due_ = false;
  if (state_ == StoreState::kReopening) co_return;
  if (SyncFails()) {
    FailWith({}, 0);
    co_return;
  }
  disk_.MarkSynced(written);
  StartSyncTimer();
}

StoreState MemoryStore::StateByRoom() const {
  return disk_.room() && *disk_.room() < options_.disk_reserve ? StoreState::kDiskLow : StoreState::kOk;
}

void MemoryStore::SetState(StoreState state) {
  if (state == state_) return;
  state_ = state;
  changed_.NotifyAll();
}

Task<void> MemoryStore::WaitForChange(StoreState from) {
  while (state_ == from) co_await changed_.Wait();
}

Task<Status> MemoryStore::BeginRead() {
  co_await loop_.Sleep(options_.read_cost);
  if (state_ == StoreState::kReopening) co_return Unavailable("the store is being reopened");
  if (disk_.faults.reads > 0) {
    --disk_.faults.reads;
    co_return Unavailable("the store could not read");
  }
  co_return absl::OkStatus();
}

Task<StatusOr<std::optional<std::string>>> MemoryStore::Get(std::string key) {
  MR_CO_RETURN_IF_ERROR(co_await BeginRead());
  const auto found = disk_.data_.find(key);
  std::optional<std::string> value;
  if (found != disk_.data_.end()) value = found->second;
  co_return value;
}

Task<StatusOr<std::vector<std::optional<std::string>>>> MemoryStore::MultiGet(std::vector<std::string> keys) {
  MR_CO_RETURN_IF_ERROR(co_await BeginRead());
  std::vector<std::optional<std::string>> values(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto found = disk_.data_.find(keys[i]);
    if (found != disk_.data_.end()) values[i] = found->second;
  }
  co_return values;
}

Task<StatusOr<ScanPage>> MemoryStore::Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                                           Direction direction) {
  MR_CO_RETURN_IF_ERROR(co_await BeginRead());
  ScanPage page = direction == Direction::kForwards ? ScanForwards(disk_.data_, begin, end, entries_max, bytes_max)
                                                    : ScanBackwards(disk_.data_, begin, end, entries_max, bytes_max);
  co_return page;
}

Task<StatusOr<Store::Size>> MemoryStore::EstimateSize(std::string begin, std::string end) {
  MR_CO_RETURN_IF_ERROR(co_await BeginRead());
  Size size;
  auto [entry, last] = Range(disk_.data_, begin, end);
  for (; entry != last; ++entry) {
    ++size.entries;
    size.bytes += static_cast<int64_t>(entry->first.size() + entry->second.size());
  }
  co_return size;
}

StoreFigures MemoryStore::Figures() const {
  StoreFigures figures = figures_;
  if (figures.syncs > 0) figures.sync_p50 = options_.sync_cost;
  figures.disk_free_bytes = disk_.room().value_or(-1);
  figures.disk_reserve_bytes = options_.disk_reserve;
  return figures;
}

}  // namespace millrace
