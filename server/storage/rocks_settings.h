// The settings of RocksDB, each with its reason. Included by database.cc and tests alone.
#pragma once

#include <rocksdb/options.h>

namespace millrace {

// Without what belongs to one database: environment, listeners, whether to create it.
rocksdb::Options RocksSettings();

// The read options of every read.
rocksdb::ReadOptions RocksReads();

// Bytes that guard each key of a batch against the machine's memory, from its making to the memtable.
inline constexpr size_t kProtectionBytesPerKey = 8;

}  // namespace millrace
