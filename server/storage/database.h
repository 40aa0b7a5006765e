// RocksDB database of a store, with its few operations on bytes. It can be closed and reopened while readers use it,
// which is the answer to every write error: RocksDB's own Resume stays busy after ENOSPC and fails after a failed WAL
// write, and a failed fsync must never be retried.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/storage/store.h"

namespace rocksdb {
class FileSystem;
}

namespace millrace {

// An open database. Reads may be called by any thread, writes by one.
class Database {
 public:
  // Damage that is accepted at the end of the log. A torn last record always is, because nobody got an acknowledgement
  // for it.
  enum class LogTail {
    kWhole,     // no other damage: all that was written must still exist
    kUnsynced,  // any: records that were not synced may be damaged or missing; records before the first gap are used
  };
  struct Options {
    std::string path;
    std::shared_ptr<rocksdb::FileSystem> file_system;  // null: the machine's
    bool create = false;                               // create it if it does not exist, and families that it lacks
    LogTail tail = LogTail::kUnsynced;
    int open_files_max = -1;  // tables that are open at the same time, which take a descriptor each; -1: all
  };
  // Opens a database and replays its log. STORE_CORRUPT if the log, manifest or a table is damaged or missing; DISK_LOW
  // if the disk is full; STORE_UNAVAILABLE for any other error. Blocks.
  static StatusOr<std::unique_ptr<Database>> Open(Options options);
  // Returns the number of the last change that a database has, with its log, and leaves it as it is. Errors as Open has
  // them. Blocks about as long as Open.
  static StatusOr<uint64_t> FindLastChange(Options options);
  ~Database();
  Database(const Database&) = delete;

  // Returns the number of the last change that was stored.
  uint64_t last_change() const;
  // Records in the directory's marker from now on how far the database reaches (reach_marker.h). Call it once all that
  // the marker had is known to be there.
  void StartMarking();

  // Reads. STORE_UNAVAILABLE if the database is closed or the read failed, STORE_CORRUPT if the data are damaged.

  // Returns the values of keys, in their order; nullopt for a key that does not exist.
  std::vector<StatusOr<std::optional<std::string>>> MultiGet(const std::vector<std::string>& keys);
  // Does the same if all that it needs is in memory and nobody is reopening the database; else returns nullopt. Never
  // waits.
  std::optional<std::vector<std::optional<std::string>>> MultiGetFromMemory(const std::vector<std::string>& keys);
  // See Store::Scan and Store::EstimateSize.
  StatusOr<ScanPage> Scan(const std::string& begin, const std::string& end, size_t entries_max, size_t bytes_max,
                          Store::Direction direction);
  StatusOr<Store::Size> EstimateSize(const std::string& begin, const std::string& end);
  // Returns the number of reads that found damage.
  uint64_t corrupt() const;

  // Writes, for one thread, which also syncs: Debian's RocksDB aborts the process if a log is synced for the first time
  // after a write to it failed, and another thread could not know of the failure. DISK_LOW if the disk is full;
  // STORE_UNAVAILABLE for any other error. Call Reopen after either.

  enum class Sync { kNo, kYes };
  // Writes the batches as one atomic change, in their order.
  Status Write(const std::vector<WriteBatch>& batches, Sync sync);
  // Syncs all that was written.
  Status SyncLog();
  // Returns the first error of background work (flush, compaction) since the last opening; OK if there was none.
  Status BackgroundStatus() const;

  // Closes and opens the database. STORE_CORRUPT if data are missing that Write or SyncLog had reported as stored; the
  // database then stays closed.
  Status Reopen();

  // Writes all memtables to tables, so that the log is empty at the next opening, and closes the database. Later reads
  // fail.
  void Close();

 private:
  class Handle;
  explicit Database(Options options);

  std::unique_ptr<Handle> handle_;
};

}  // namespace millrace
