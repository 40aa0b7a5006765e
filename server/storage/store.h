// The store: one ordered map of bytes to bytes with atomic, grouped, durable commits. Everything above it sees only
// this; RocksDB (rocks_store.h) and the simulator's memory (memory_store.h) are behind it. No handle, iterator or
// snapshot is ever held: the store may be closed and reopened at any moment (disk full, failed fsync).
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

// Changes that are committed all or none. Later ones to the same key win. Copies share what they hold until one of them
// is changed, which none is after a copy went to the store: one that is kept for another try costs nothing.
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
    own.kept.insert(own.kept.end(), std::make_move_iterator(more.kept.begin()),
                    std::make_move_iterator(more.kept.end()));
  }
  // Keeps something until the batch and all copies of it are gone, which is when it is committed or given up. Its
  // destructor may run on any thread.
  void Keep(std::shared_ptr<const void> kept) { Own().kept.push_back(std::move(kept)); }

  enum class Kind { kPut, kDelete, kDeleteRange };
  struct Change {
    std::string key;
    std::string value;  // of a range: its end
    Kind kind;
  };
  const std::vector<Change>& changes() const {
    static const std::vector<Change> kNone;
    return body_ ? body_->changes : kNone;
  }
  bool empty() const { return changes().empty(); }
  size_t bytes() const { return body_ ? body_->bytes : 0; }

 private:
  struct Body {
    std::vector<Change> changes;
    std::vector<std::shared_ptr<const void>> kept;
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

  std::shared_ptr<Body> body_;  // null: empty
};

// One entry of a scan.
struct StoreEntry {
  std::string key;
  std::string value;
};

// A part of a range in key order.
struct ScanPage {
  std::vector<StoreEntry> entries;
  // Where the next page begins; empty: the range is at its end.
  std::string next;
};

// What an order of commits is good for. See DESIGN: durability.
enum class CommitMode {
  kDurable,   // resumes once it is as durable as the server's setting asks
  kReadable,  // resumes once it is readable; durable with whatever is synced next
};

// How a store is.
enum class StoreState { kOk, kDiskLow, kReopening };

// Figures of a store since its start.
struct StoreFigures {
  uint64_t commits = 0;          // groups written
  uint64_t batches = 0;          // batches in them
  uint64_t syncs = 0;            // fdatasyncs
  Duration sync_p50{};           // median time of one
  uint64_t corrupt = 0;          // values that failed their check and were dropped
  int64_t disk_free_bytes = -1;  // -1: not known
  int64_t disk_reserve_bytes = 0;
};

// Called on the loop's thread, and resumes there.
class Store {
 public:
  virtual ~Store() = default;

  // Commits a batch. Batches are committed in the order of the calls, and are readable in that order; all that piled up
  // shares one write and one sync. UNAVAILABLE (STORE_UNAVAILABLE) where the store could not take it: then all of it is
  // stored or nothing, nobody knows which (a sync that failed may yet have written), and after
  // WaitForChange(kReopening) the caller commits the same batch again. Below the disk's reserve it still takes batches
  // (what was paid for must be kept) as long as there is any room.
  virtual Task<Status> Commit(WriteBatch batch, CommitMode mode = CommitMode::kDurable) = 0;

  // The value of a key; nullopt where there is none. This and the other reads: UNAVAILABLE while the store is being
  // reopened, DATA_LOSS (STORE_CORRUPT) where the disk returns other bytes than were written.
  virtual Task<StatusOr<std::optional<std::string>>> Get(std::string key) = 0;

  // The values of keys, in their order, read together.
  virtual Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) = 0;

  // Entries with begin <= key < end (an empty end: all that follow) in key order (backwards: from the end), until
  // `entries_max` or `bytes_max` of values is reached; at least one where there is any. `begin` (backwards: `end`) of
  // the next page is `next`.
  enum class Direction { kForwards, kBackwards };
  virtual Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max = 1000,
                                        size_t bytes_max = 1 << 20, Direction direction = Direction::kForwards) = 0;

  // An estimate of the entries and bytes with begin <= key < end.
  struct Size {
    int64_t entries = 0;
    int64_t bytes = 0;
  };
  virtual Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) = 0;

  virtual StoreState state() const = 0;
  // Resumes when `state` has changed from `from`.
  virtual Task<void> WaitForChange(StoreState from) = 0;
  virtual StoreFigures Figures() const = 0;
};

// The first key after all that begin with `prefix`.
std::string PrefixEnd(std::string prefix);

}  // namespace millrace
