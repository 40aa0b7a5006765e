// The RocksDB database of a store: its settings, and its few operations on bytes. It can be closed and opened anew
// under its readers' feet, which is how every write error ends: RocksDB's own Resume is not used (after ENOSPC it stays
// busy, and after a failed WAL write it fails), and a failed fsync is never tried again.
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

class Database {
 public:
  // What may be wrong with the end of the log. A torn last record is always accepted: nobody was told of it.
  enum class LogTail {
    kWhole,     // nothing else: whatever was written is still there
    kUnsynced,  // anything: what was not synced may be damaged, or gone, or have holes. The part before counts.
  };
  struct Options {
    std::string path;
    std::shared_ptr<rocksdb::FileSystem> file_system;  // null: the machine's
    bool create = false;                               // where there is none
    LogTail tail = LogTail::kUnsynced;
  };
  static StatusOr<std::unique_ptr<Database>> Open(Options options);
  ~Database();
  Database(const Database&) = delete;

  // Reads: any thread. UNAVAILABLE where it is closed or could not read, DATA_LOSS where what was read is damaged.
  std::vector<StatusOr<std::optional<std::string>>> MultiGet(const std::vector<std::string>& keys);
  // The same, where all that it takes is in memory and nobody is reopening the database; else nothing. Never waits.
  std::optional<std::vector<std::optional<std::string>>> MultiGetFromMemory(const std::vector<std::string>& keys);
  StatusOr<ScanPage> Scan(const std::string& begin, const std::string& end, size_t entries_max, size_t bytes_max,
                          Store::Direction direction);
  StatusOr<Store::Size> EstimateSize(const std::string& begin, const std::string& end);
  // Reads that met damage.
  uint64_t corrupt() const;

  // One thread from here on, syncs too: Debian's RocksDB stops the process where a log is synced for the first time
  // after a write to it failed, and another thread could not tell that one did. RESOURCE_EXHAUSTED: the disk is full;
  // UNAVAILABLE: any other error. After either, Reopen.
  enum class Sync { kNo, kYes };
  Status Write(const std::vector<WriteBatch>& batches, Sync sync);
  Status SyncLog();
  // The error of background work (flush, compaction) since the last opening, if any; such as Write returns.
  Status BackgroundStatus() const;

  // Closes and opens anew. DATA_LOSS where something that Write or SyncLog had reported as stored is gone: the database
  // is then closed for good.
  Status Reopen();

  // Writes everything out, so that the log is empty at the next opening, and closes. Reads fail from now on.
  void Close();

 private:
  class Handle;
  explicit Database(Options options);

  std::unique_ptr<Handle> handle_;
};

}  // namespace millrace
