#include "server/storage/rocks_settings.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "server/storage/families.h"

namespace millrace {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

rocksdb::CompressionType FirstSupported(std::initializer_list<rocksdb::CompressionType> wanted) {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  for (const rocksdb::CompressionType type : wanted) {
    if (std::find(supported.begin(), supported.end(), type) != supported.end()) return type;
  }
  return rocksdb::kNoCompression;
}

rocksdb::BlockBasedTableOptions TableSettings() {
  rocksdb::BlockBasedTableOptions table;
  // Index and filter blocks count against the cache, so that memory does not grow with the store.
  // Four shards: in RocksDB's choice, 64 of 512 KiB, the filter of a file with 400,000 keys would not fit, and each
  // look for an absent key would read it from the disk.
  table.block_cache = rocksdb::NewLRUCache(32 * kMiB, /*num_shard_bits=*/2);
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // Memory for building and reading tables counts against the cache too.
  for (const auto role :
       {rocksdb::CacheEntryRole::kFilterConstruction, rocksdb::CacheEntryRole::kBlockBasedTableReader}) {
    table.cache_usage_options.options_overrides[role].charged = rocksdb::CacheEntryRoleOptions::Decision::kEnabled;
  }
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = 8 * 1024;
  table.format_version = 5;
  return table;
}

}  // namespace

rocksdb::Options RocksSettings() {
  rocksdb::Options options;

  // Correctness. A power loss needs kPointInTimeRecovery; database.cc is stricter if there was none.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.best_efforts_recovery = false;
  options.paranoid_checks = true;
  options.recycle_log_file_num = 0;  // an old record in a recycled log could be taken for a new one
  options.manual_wal_flush = false;  // the system has a commit before it is acknowledged: a kill loses nothing
  options.avoid_flush_during_recovery = false;  // replayed records are synced before anything new is written
  options.max_bgerror_resume_count = 0;         // we reopen the database after an error instead
  options.use_fsync = false;                    // fdatasync is enough: it syncs the sizes of logs too

  // Size. Each family has up to three memtables (one in use, two being written to tables). All share the logs, which a
  // restart replays in well under a second: if they are full, the family with the oldest memtable is flushed.
  options.write_buffer_size = 8 * kMiB;  // the largest of all families decides how much disk a new log reserves
  options.max_write_buffer_number = 3;
  options.max_total_wal_size = 64 * kMiB;
  options.target_file_size_base = 16 * kMiB;  // filter and index of a table are in memory while it is written
  options.target_file_size_multiplier = 2;
  options.bytes_per_sync = 1 * kMiB;  // spreads the writes of compactions, so that they do not delay syncs of the log
  options.max_background_jobs = 2;
  options.level_compaction_dynamic_level_bytes = true;

  // Speed. Most reads are for keys that do not exist (is there a memo?), which filters answer. Insert hints stay off:
  // RocksDB keeps them in one map for rows and range deletions, and then mixes up the lists of both (facebook/rocksdb
  // issue 5118).
  options.memtable_prefix_bloom_size_ratio = 0.1;
  options.memtable_whole_key_filtering = true;

  // All levels use one codec: a file whose codec differs from that of the level below is not moved but rewritten. Files
  // of random keys are merged in any case (FamilySettings).
  options.compression = FirstSupported({rocksdb::kLZ4Compression, rocksdb::kSnappyCompression});
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableSettings()));

  // No periodic work.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> FamilySettings(const rocksdb::Options& options) {
  // The names are part of the format.
  constexpr std::array<const char*, kFamilies> kNames = {"default", "log", "pending", "hashed", "items"};
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : kNames) families.emplace_back(name, options);
  const auto settings_of = [&](Family family) -> rocksdb::ColumnFamilyOptions& {
    return families[static_cast<size_t>(family)].options;
  };
  // These are written once or twice, so that a better codec is paid for once. Level 3 saves 3% more and takes half as
  // long again.
  for (const Family family : {Family::kLog, Family::kItems}) {
    settings_of(family).compression = FirstSupported({rocksdb::kZSTD, rocksdb::kLZ4Compression});
    settings_of(family).compression_opts.level = 1;
  }
  // Merged with all that is there, whatever the codec: the better one at the bottom.
  rocksdb::ColumnFamilyOptions& hashed = settings_of(Family::kHashed);
  hashed.bottommost_compression = FirstSupported({rocksdb::kZSTD, rocksdb::kLZ4Compression});
  hashed.bottommost_compression_opts.level = 1;
  hashed.bottommost_compression_opts.enabled = true;
  return families;
}

rocksdb::ReadOptions RocksReads() {
  rocksdb::ReadOptions reads;
  reads.verify_checksums = true;
  return reads;
}

}  // namespace millrace
