// Settings of RocksDB, each with its reason. For database.cc and tests only.
#pragma once

#include <rocksdb/options.h>

#include <vector>

namespace millrace {

// Returns the settings that all databases share. The environment, listeners and create_if_missing are set for each
// database.
rocksdb::Options RocksSettings();

// Returns the names and settings of all families, in the order of Family (families.h). `options`: RocksSettings().
std::vector<rocksdb::ColumnFamilyDescriptor> FamilySettings(const rocksdb::Options& options);

// Returns the options of every read.
rocksdb::ReadOptions RocksReads();

// Bytes of checksum by which each key of a batch is protected against faults of the machine's memory on its way to the
// memtable.
inline constexpr size_t kProtectionBytesPerKey = 8;

}  // namespace millrace
