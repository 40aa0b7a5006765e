#include "server/storage/database.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "server/storage/families.h"
#include "server/storage/reach_marker.h"
#include "server/storage/recovery_watch.h"
#include "server/storage/rocks_settings.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

// Largest number of entries in a range that are counted; the size of a longer range is estimated.
constexpr int64_t kCountedEntriesMax = 1000;

// Keeps the first error of background work, and forbids RocksDB to recover from it by itself.
class ErrorListener final : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    const std::lock_guard lock(mutex_);
    if (error_.ok()) error_ = *error;
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
  rocksdb::Status error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  mutable std::mutex mutex_;
  rocksdb::Status error_;  // guarded by mutex_
};

// Returns `text` without the path of the directory, which messages must not reveal.
std::string WithoutPath(std::string text, const std::string& path) {
  for (const std::string& part : {path + "/", path}) {
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
  }
  return text;
}

// Returns the iterator with the next key of a scan; null at the end of all.
rocksdb::Iterator* Next(const std::vector<std::unique_ptr<rocksdb::Iterator>>& entries, bool forwards) {
  rocksdb::Iterator* next = nullptr;
  for (const auto& entry : entries) {
    if (!entry->Valid()) continue;
    if (next == nullptr || (entry->key().compare(next->key()) < 0) == forwards) next = entry.get();
  }
  return next;
}

Status Closed() { return MakeError(Reason::kStoreUnavailable, "the store is being reopened"); }

}  // namespace

class Database::Handle {
 public:
  explicit Handle(Options options) : store_options(std::move(options)) {
    rocks = RocksSettings();
    if (store_options.file_system) {
      env = rocksdb::NewCompositeEnv(store_options.file_system);
      rocks.env = env.get();
    }
    rocks.max_open_files = store_options.open_files_max;
    SetCreate(store_options.create);
    SetTail(store_options.tail);
  }

  void SetTail(LogTail tail) {
    rocks.wal_recovery_mode = tail == LogTail::kWhole ? rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords
                                                      : rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  }
  void SetCreate(bool create) {
    rocks.create_if_missing = create;
    // A store that is complete lacks a family only if its manifest lost its end: that is damage.
    rocks.create_missing_column_families = create;
  }

  // Opens the database. REQUIRES: the exclusive lock, or that no other thread knows the handle yet.
  Status OpenLocked() {
    GapFilter gaps;
    const auto log = std::make_shared<DamageLog>();
    rocksdb::Options options = OptionsWith(gaps, log);
    listener = std::make_shared<ErrorListener>();
    options.listeners.push_back(listener);
    options.sst_file_manager.reset(rocksdb::NewSstFileManager(options.env, options.info_log));
    // A compaction begins only if the disk has room for its output and for all memtables.
    options.sst_file_manager->SetCompactionBufferSize(options.write_buffer_size * options.max_write_buffer_number);
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status =
        rocksdb::DB::Open(options, store_options.path, FamilySettings(options), &families, &opened);
    db.reset(opened);
    if (status.ok()) return absl::OkStatus();
    families.clear();
    if (status.IsInvalidArgument() && !rocks.create_if_missing) {
      return OpeningError(rocksdb::Status::Corruption("the MANIFEST lacks column families", status.ToString()), "");
    }
    return OpeningError(status, log->Damage());
  }

  rocksdb::Options OptionsWith(GapFilter& gaps, const std::shared_ptr<DamageLog>& log) const {
    rocksdb::Options options = rocks;
    options.wal_filter = &gaps;  // used during Open only
    options.info_log = log;
    return options;
  }

  StatusOr<uint64_t> FindLastChange() {
    GapFilter gaps;
    const auto log = std::make_shared<DamageLog>();
    const rocksdb::Options options = OptionsWith(gaps, log);
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status =
        rocksdb::DB::OpenForReadOnly(options, store_options.path, FamilySettings(options), &families, &opened);
    db.reset(opened);
    if (!status.ok()) {
      families.clear();
      return OpeningError(status, log->Damage());
    }
    const uint64_t last = db->GetLatestSequenceNumber();
    CloseLocked();
    return last;
  }

  // Records how far the database reaches. `sync`: all that was stored is on the disk.
  void Mark(Sync sync) {
    if (!marker) return;
    reach.written = stored_sequence;
    if (sync == Sync::kYes) reach.synced = stored_sequence;
    marker->Write(reach);
  }

  void CloseLocked() {
    if (!db) return;
    for (rocksdb::ColumnFamilyHandle* family : families) (void)db->DestroyColumnFamilyHandle(family);
    families.clear();
    (void)db->Close();  // an error was reported before, by the operation that led to the close
    db.reset();
  }

  rocksdb::ColumnFamilyHandle* Of(std::string_view key) const { return Of(FamilyOf(key)); }
  rocksdb::ColumnFamilyHandle* Of(Family family) const { return families[static_cast<size_t>(family)]; }
  // Returns the families of a range.
  std::vector<rocksdb::ColumnFamilyHandle*> Of(std::string_view begin, std::string_view end) const {
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    for (const Family family : FamiliesOf(begin, end)) handles.push_back(Of(family));
    return handles;
  }

  rocksdb::Status DeleteRange(rocksdb::WriteBatch& batch, const std::string& begin, const std::string& end) const {
    rocksdb::Status added;
    for (rocksdb::ColumnFamilyHandle* family : Of(begin, end)) {
      if (added.ok()) added = batch.DeleteRange(family, begin, end);
    }
    return added;
  }

  // Returns our error for one of RocksDB: STORE_CORRUPT, DISK_LOW or STORE_UNAVAILABLE.
  Status Error(const rocksdb::Status& status, std::string_view doing) {
    if (status.IsCorruption()) {
      ++corrupt;
      return MakeError(Reason::kStoreCorrupt, Text(status, doing));
    }
    return MakeError(status.IsNoSpace() ? Reason::kDiskLow : Reason::kStoreUnavailable, Text(status, doing));
  }

  std::string Text(const rocksdb::Status& status, std::string_view doing) const {
    return WithoutPath(fmt::format("the store could not {}: {}", doing, status.ToString()), store_options.path);
  }

  Status OpeningError(const rocksdb::Status& status, const std::string& damage) {
    std::string text = Text(status, "be opened");
    if (status.IsCorruption() && !damage.empty()) text += "; " + WithoutPath(damage, store_options.path);
    if (!status.IsCorruption()) return MakeError(ReasonOf(Error(status, "")), text);
    return MakeError(Reason::kStoreCorrupt, text + "; nothing was changed: restore the directory from a backup");
  }

  const Options store_options;
  std::unique_ptr<rocksdb::Env> env;  // null for the machine's
  rocksdb::Options rocks;
  std::atomic<uint64_t> corrupt{0};
  uint64_t stored_sequence = 0;         // number of the last change that Write reported as stored
  std::unique_ptr<ReachMarker> marker;  // null: nothing is recorded
  Reach reach;

  // Readers share it for one read; Reopen and Close hold it exclusively.
  std::shared_mutex lease;
  std::shared_ptr<ErrorListener> listener;
  // Column families, in the order of Family. Owned, and guarded as db is.
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  std::unique_ptr<rocksdb::DB> db;  // null if closed. Guarded by lease; the writing thread reads it without
};

Database::Database(Options options) : handle_(std::make_unique<Handle>(std::move(options))) {}

Database::~Database() { Close(); }

StatusOr<std::unique_ptr<Database>> Database::Open(Options options) {
  std::unique_ptr<Database> database(new Database(std::move(options)));
  Handle& handle = *database->handle_;
  MR_RETURN_IF_ERROR(handle.OpenLocked());
  handle.stored_sequence = handle.db->GetLatestSequenceNumber();
  handle.SetCreate(false);
  handle.SetTail(LogTail::kUnsynced);  // for Reopen: after an error the end of the log may have any damage
  return database;
}

StatusOr<uint64_t> Database::FindLastChange(Options options) {
  options.create = false;
  return Handle(std::move(options)).FindLastChange();
}

uint64_t Database::last_change() const { return handle_->stored_sequence; }

void Database::StartMarking() {
  handle_->marker = std::make_unique<ReachMarker>(handle_->store_options.path);
  handle_->Mark(Sync::kYes);  // opening it has synced what it replayed
}

Status Database::Reopen() {
  const std::unique_lock lock(handle_->lease);
  handle_->CloseLocked();
  MR_RETURN_IF_ERROR(handle_->OpenLocked());
  const uint64_t found = handle_->db->GetLatestSequenceNumber();
  if (found >= handle_->stored_sequence) {
    handle_->stored_sequence = found;
    handle_->Mark(Sync::kYes);
    return absl::OkStatus();
  }
  handle_->CloseLocked();
  return MakeError(Reason::kStoreCorrupt, fmt::format("the store lost the last {} changes that were stored",
                                                      handle_->stored_sequence - found));
}

void Database::Close() {
  if (!handle_->db) return;
  if (BackgroundStatus().ok()) {
    // If it fails, the log has the data.
    const rocksdb::Status flushed = handle_->db->Flush(rocksdb::FlushOptions(), handle_->families);
    if (flushed.ok()) {
      handle_->reach.closed = handle_->stored_sequence;
      handle_->Mark(Sync::kYes);
    }
  }
  const std::unique_lock lock(handle_->lease);
  handle_->CloseLocked();
}

Status Database::Write(const std::vector<millrace::WriteBatch>& batches, Sync sync) {
  if (!handle_->db) return Closed();
  size_t bytes = 64;
  for (const millrace::WriteBatch& batch : batches) bytes += batch.bytes() + 16 * batch.changes().size();
  rocksdb::WriteBatch all(bytes, 0, kProtectionBytesPerKey, 0);
  for (const millrace::WriteBatch& batch : batches) {
    for (const millrace::WriteBatch::Change& change : batch.changes()) {
      rocksdb::Status added;
      switch (change.kind) {
        case millrace::WriteBatch::Kind::kPut:
          added = all.Put(handle_->Of(change.key), change.key, change.value);
          break;
        case millrace::WriteBatch::Kind::kDelete:
          added = all.Delete(handle_->Of(change.key), change.key);
          break;
        case millrace::WriteBatch::Kind::kDeleteRange:
          if (change.key < change.value) added = handle_->DeleteRange(all, change.key, change.value);
          break;
      }
      if (!added.ok()) return handle_->Error(added, "take a batch");
    }
  }
  rocksdb::WriteOptions how;
  how.sync = sync == Sync::kYes;
  if (const rocksdb::Status status = handle_->db->Write(how, &all); !status.ok()) {
    return handle_->Error(status, "write");
  }
  handle_->stored_sequence = handle_->db->GetLatestSequenceNumber();
  handle_->Mark(sync);
  return absl::OkStatus();
}

Status Database::SyncLog() {
  if (!handle_->db) return Closed();
  const rocksdb::Status status = handle_->db->SyncWAL();
  if (!status.ok()) return handle_->Error(status, "sync");
  handle_->Mark(Sync::kYes);
  return absl::OkStatus();
}

Status Database::BackgroundStatus() const {
  if (!handle_->listener) return absl::OkStatus();
  const rocksdb::Status status = handle_->listener->error();
  return status.ok() ? absl::OkStatus() : handle_->Error(status, "work");
}

uint64_t Database::corrupt() const { return handle_->corrupt; }

std::vector<StatusOr<std::optional<std::string>>> Database::MultiGet(const std::vector<std::string>& keys) {
  const std::shared_lock lock(handle_->lease);
  std::vector<StatusOr<std::optional<std::string>>> answers;
  answers.reserve(keys.size());
  if (!handle_->db) {
    answers.resize(keys.size(), Closed());
    return answers;
  }
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  families.reserve(keys.size());
  for (const std::string& key : keys) families.push_back(handle_->Of(key));
  handle_->db->MultiGet(RocksReads(), keys.size(), families.data(), slices.data(), values.data(), statuses.data());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].ok()) {
      answers.emplace_back(values[i].ToString());
    } else if (statuses[i].IsNotFound()) {
      answers.emplace_back(std::nullopt);
    } else {
      answers.emplace_back(handle_->Error(statuses[i], "read"));
    }
  }
  return answers;
}

std::optional<std::vector<std::optional<std::string>>> Database::MultiGetFromMemory(
    const std::vector<std::string>& keys) {
  const std::shared_lock lock(handle_->lease, std::try_to_lock);
  if (!lock.owns_lock() || !handle_->db) return std::nullopt;
  // Gets keys one by one, because RocksDB's MultiGet reads data blocks from the disk in spite of the tier.
  rocksdb::ReadOptions how = RocksReads();
  how.read_tier = rocksdb::kBlockCacheTier;
  std::vector<std::optional<std::string>> answers(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    rocksdb::PinnableSlice value;
    const rocksdb::Status status = handle_->db->Get(how, handle_->Of(keys[i]), keys[i], &value);
    if (status.ok()) {
      answers[i] = value.ToString();
    } else if (!status.IsNotFound()) {
      return std::nullopt;
    }
  }
  return answers;
}

StatusOr<ScanPage> Database::Scan(const std::string& begin, const std::string& end, size_t entries_max,
                                  size_t bytes_max, Store::Direction direction) {
  ScanPage page;
  if (!end.empty() && end <= begin) return page;
  const std::shared_lock lock(handle_->lease);
  if (!handle_->db) return Closed();
  rocksdb::ReadOptions reads = RocksReads();
  const rocksdb::Slice lower(begin);
  const rocksdb::Slice upper(end);
  reads.iterate_lower_bound = &lower;
  if (!end.empty()) reads.iterate_upper_bound = &upper;
  const bool forwards = direction == Store::Direction::kForwards;
  // One point in time for all of them.
  std::vector<rocksdb::Iterator*> opened;
  const rocksdb::Status status = handle_->db->NewIterators(reads, handle_->Of(begin, end), &opened);
  const std::vector<std::unique_ptr<rocksdb::Iterator>> entries(opened.begin(), opened.end());
  if (!status.ok()) return handle_->Error(status, "read");
  for (const auto& entry : entries) forwards ? entry->SeekToFirst() : entry->SeekToLast();
  size_t bytes = 0;
  while (rocksdb::Iterator* entry = Next(entries, forwards)) {
    if (!page.entries.empty() && (page.entries.size() >= entries_max || bytes >= bytes_max)) {
      page.next = forwards ? entry->key().ToString() : page.entries.back().key;
      break;
    }
    bytes += PlainSize({entry->value().data(), entry->value().size()});
    page.entries.push_back({entry->key().ToString(), entry->value().ToString()});
    forwards ? entry->Next() : entry->Prev();
  }
  for (const auto& entry : entries) {
    if (!entry->status().ok()) return handle_->Error(entry->status(), "read");
  }
  return page;
}

StatusOr<Store::Size> Database::EstimateSize(const std::string& begin, const std::string& end) {
  // Counts a short range, because estimates have the granularity of blocks.
  MR_ASSIGN_OR_RETURN(const ScanPage page,
                      Scan(begin, end, kCountedEntriesMax, size_t{1} << 20, Store::Direction::kForwards));
  Store::Size counted{.entries = static_cast<int64_t>(page.entries.size())};
  for (const StoreEntry& entry : page.entries) {
    counted.bytes += static_cast<int64_t>(entry.key.size() + entry.value.size());
  }
  if (page.next.empty()) return counted;

  const std::shared_lock lock(handle_->lease);
  if (!handle_->db) return Closed();
  const std::string last = end.empty() ? std::string(64, '\xff') : end;
  const rocksdb::Range range(begin, last);
  uint64_t file_bytes = 0;
  uint64_t memory_entries = 0;
  uint64_t memory_bytes = 0;
  rocksdb::TablePropertiesCollection tables;
  for (rocksdb::ColumnFamilyHandle* family : handle_->Of(begin, end)) {
    uint64_t in_memory[2] = {};
    handle_->db->GetApproximateMemTableStats(family, range, &in_memory[0], &in_memory[1]);
    memory_entries += in_memory[0];
    memory_bytes += in_memory[1];
    uint64_t in_files = 0;
    rocksdb::Status status = handle_->db->GetApproximateSizes(family, &range, 1, &in_files);
    file_bytes += in_files;
    rocksdb::TablePropertiesCollection of_family;
    if (status.ok()) status = handle_->db->GetPropertiesOfTablesInRange(family, &range, 1, &of_family);
    if (!status.ok()) return handle_->Error(status, "read");
    tables.insert(of_family.begin(), of_family.end());
  }
  double entries = 0;
  double table_bytes = 0;
  for (const auto& [name, table] : tables) {
    entries += static_cast<double>(table->num_entries) - 2 * static_cast<double>(table->num_deletions);
    table_bytes += static_cast<double>(table->data_size + table->index_size + table->filter_size);
  }
  const double share = table_bytes > 0 ? std::min(1.0, static_cast<double>(file_bytes) / table_bytes) : 0;
  return Store::Size{.entries = std::max(counted.entries, static_cast<int64_t>(std::max(0.0, entries * share)) +
                                                              static_cast<int64_t>(memory_entries)),
                     .bytes = std::max(counted.bytes, static_cast<int64_t>(file_bytes + memory_bytes))};
}

}  // namespace millrace
