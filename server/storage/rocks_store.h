// Store in RocksDB: one database in one directory, one writer thread that groups commits, reads on the pool. Opening
// replays the log of a killed process; closing writes all memtables to tables, so that the next start is fast.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/storage/disk_guard.h"
#include "server/storage/durability.h"
#include "server/storage/store.h"

namespace rocksdb {
class FileSystem;
}

namespace millrace {

struct RocksOptions {
  // Path of the directory, which is made with mode 0700 if it is absent.
  std::string path = {};
  Durability durability = {};
  // Bytes of free disk below which the state is kDiskLow.
  int64_t disk_reserve = int64_t{256} << 20;
  // Largest number of tables that are open at the same time: each takes a descriptor. -1: all of them.
  int open_files_max = -1;

  // Replacements for tests; null or empty for the machine's own.
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
  DiskSpace* disk_space = nullptr;
  std::string boot_id = {};
};

// Opens the store. Blocks for milliseconds, and for up to a second after a kill. Destroy it before the pool and the
// loop, when no call is suspended or the loop has been abandoned. Errors:
// - STORE_HELD: another process, which the message names, holds the directory.
// - STORE_VERSION: another release wrote the store, which stays unchanged.
// - STORE_CORRUPT: the log, the manifest or a file in it, which the message names, is damaged or missing; or changes
// are
//   missing that the store had by its marker (reach_marker.h). The store stays unchanged.
// - STORE_UNAVAILABLE: the directory can't be made, read or written; DISK_LOW: its disk is full.
StatusOr<std::unique_ptr<Store>> OpenRocksStore(RocksOptions options, Loop& loop, Pool& pool);

}  // namespace millrace
