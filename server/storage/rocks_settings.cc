#include "server/storage/rocks_settings.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <memory>
#include <vector>

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
  table.block_cache = rocksdb::NewLRUCache(32 * kMiB);
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

  // Size. Three memtables of 8 MiB (one in use, two being written to tables), and logs that a restart replays in well
  // under a second.
  options.write_buffer_size = 8 * kMiB;
  options.max_write_buffer_number = 3;
  options.max_total_wal_size = 48 * kMiB;
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

  // Values over 1 KiB are compressed before they get here, but blocks of small values and of keys are not.
  options.compression = FirstSupported({rocksdb::kLZ4Compression, rocksdb::kSnappyCompression});
  options.bottommost_compression = FirstSupported({rocksdb::kZSTD, rocksdb::kLZ4Compression});
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableSettings()));

  // No periodic work.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  return options;
}

rocksdb::ReadOptions RocksReads() {
  rocksdb::ReadOptions reads;
  reads.verify_checksums = true;
  return reads;
}

}  // namespace millrace
