// The store in RocksDB: one database in one directory, one writer thread that groups commits, reads on the pool.
// Opening replays what a killed process left in the log; closing writes everything out, so that the next start is
// quick.
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
  // Directory; made with mode 0700 where absent.
  std::string path = {};
  Durability durability = {};
  // Bytes to keep free; below, the state is kDiskLow.
  int64_t disk_reserve = int64_t{256} << 20;

  // For tests. Null or empty: the machine's.
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
  DiskSpace* disk_space = nullptr;
  std::string boot_id = {};
};

// Opens the store. Blocks (milliseconds; up to a second after a kill). It must be destroyed before the pool and the
// loop, with no call suspended, or after the loop was abandoned. FAILED_PRECONDITION: STORE_HELD (another process holds
// it; says which), STORE_CORRUPT (a newer release wrote it; it is untouched). DATA_LOSS STORE_CORRUPT: the log,
// manifest or a file that they name is damaged or gone (says which). UNAVAILABLE STORE_UNAVAILABLE: the directory can't
// be made, read or written.
StatusOr<std::unique_ptr<Store>> OpenRocksStore(RocksOptions options, Loop& loop, Pool& pool);

}  // namespace millrace
