// Interface of the store: an ordered map of bytes to bytes with atomic, grouped, durable commits. RocksDB
// (rocks_store.h) and the simulator's memory (memory_store.h) implement it. It gives out no handles, iterators or
// snapshots, because the store may be closed and reopened at any moment (full disk, failed fsync).
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/base/task.h"

namespace millrace {

// Changes that are committed atomically. The last change of a key wins. Copies share their content until one of them is
// changed, so a copy that is kept for a retry costs nothing. One thread for each copy.
class WriteBatch {
 public:
  void Put(std::string key, std::string value) {
    Body& own = Own();
    own.bytes += key.size() + value.size();
    own.changes.push_back({std::move(key), std::move(value), Kind::kPut});
  }
  void Delete(std::string key) {
    Body& own = Own();
    own.bytes += key.size();
    own.changes.push_back({std::move(key), {}, Kind::kDelete});
  }
  // Deletes every key in [begin, end).
  void DeleteRange(std::string begin, std::string end) {
    Own().changes.push_back({std::move(begin), std::move(end), Kind::kDeleteRange});
  }
  // Appends the changes of `other`.
  void Append(WriteBatch other) {
    if (!other.body_) return;
    if (!body_) {
      body_ = std::move(other.body_);
      return;
    }
    Body& own = Own();
    Body& more = other.Own();
    own.bytes += more.bytes;
    own.changes.insert(own.changes.end(), std::make_move_iterator(more.changes.begin()),
                       std::make_move_iterator(more.changes.end()));
  }

  enum class Kind { kPut, kDelete, kDeleteRange };
  struct Change {
    std::string key;
    std::string value;  // for kDeleteRange the end of the range
    Kind kind;
  };
  const std::vector<Change>& changes() const {
    static const std::vector<Change> kNone;
    return body_ ? body_->changes : kNone;
  }
  bool empty() const { return changes().empty(); }
  // Returns the bytes of keys and values, without deleted ranges.
  size_t bytes() const { return body_ ? body_->bytes : 0; }

 private:
  struct Body {
    std::vector<Change> changes;
    size_t bytes = 0;
  };

  Body& Own() {
    if (!body_) {
      body_ = std::make_shared<Body>();
    } else if (body_.use_count() > 1) {
      body_ = std::make_shared<Body>(*body_);
    }
    return *body_;
  }

  std::shared_ptr<Body> body_;  // null if empty
};

// One entry of a scan.
struct StoreEntry {
  std::string key;
  std::string value;
};

// Part of a range, in the order of the scan.
struct ScanPage {
  std::vector<StoreEntry> entries;
  // Cursor of the next page: its `begin` (backwards: its `end`). Empty at the end of the range.
  std::string next;
};

// When Commit resumes.
enum class CommitMode {
  kDurable,   // when the batch is as durable as the server's setting asks
  kReadable,  // when the batch is readable; the next sync makes it durable
};

// State of a store.
enum class StoreState {
  kOk,
  kDiskLow,    // less than the reserve is free: no new paid work should begin
  kReopening,  // reads and commits fail until the store is open again
};

// Measurements of a store since its start.
struct StoreFigures {
  uint64_t commits = 0;            // groups written
  uint64_t batches = 0;            // batches in these groups
  uint64_t syncs = 0;              // fdatasyncs
  Duration sync_p50{};             // median duration of an fdatasync
  uint64_t corrupt = 0;            // reads that found damage
  int64_t disk_free_bytes = -1;    // free space of the disk; -1: unknown
  int64_t disk_reserve_bytes = 0;  // setting below which the state is kDiskLow
};

// The store. Engine thread only; its coroutines resume there.
class Store {
 public:
  virtual ~Store() = default;

  // Commits a batch. Batches are committed, and become readable, in the order of the calls; batches that wait together
  // share one write and one sync. STORE_UNAVAILABLE if the write or sync failed: it is then unknown if the batch is
  // stored (a failed sync may have written), and the caller waits for WaitForChange(kReopening) and commits the same
  // batch again. Accepts batches below the disk's reserve as long as the disk has any room, because paid answers must
  // be kept.
  virtual Task<Status> Commit(WriteBatch batch, CommitMode mode = CommitMode::kDurable) = 0;

  // Returns the value of a key; nullopt if it does not exist. This and the other reads fail with STORE_UNAVAILABLE
  // while the store is being reopened, and with STORE_CORRUPT if the disk returns other bytes than were written.
  virtual Task<StatusOr<std::optional<std::string>>> Get(std::string key) = 0;

  // Returns the values of keys, in their order. One call is cheaper than one Get for each key.
  virtual Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) = 0;

  // Returns the entries with begin <= key < end (an empty end: no limit) in key order (backwards: in reverse), until
  // `entries_max` entries or `bytes_max` bytes of values, counted as they are once they are decoded, are reached, but
  // at least one if the range has any. Pass
  // `next` of the page as `begin` (backwards: as `end`) to continue.
  enum class Direction { kForwards, kBackwards };
  virtual Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max = 1000,
                                        size_t bytes_max = 1 << 20, Direction direction = Direction::kForwards) = 0;

  // Returns an estimate of the number of entries with begin <= key < end, and of their bytes. Exact for short ranges:
  // up to 1,000 entries of 1 MiB together.
  struct Size {
    int64_t entries = 0;
    int64_t bytes = 0;
  };
  virtual Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) = 0;

  virtual StoreState state() const = 0;
  // Resumes when the state is not `from`; at once if it is another now.
  virtual Task<void> WaitForChange(StoreState from) = 0;
  virtual StoreFigures Figures() const = 0;
};

// Returns the first key after all keys that begin with `prefix`.
std::string PrefixEnd(std::string prefix);

}  // namespace millrace
