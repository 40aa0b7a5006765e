// Watches a database while it recovers: refuses a log with a gap, which RocksDB would replay (a log whose end was lost
// before a later one that was not), and keeps what RocksDB's own log says of damage, which names the file that its
// errors do not. Included by database.cc alone.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/wal_filter.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace millrace {

// Reports a record as corrupt that does not follow the one before it.
class GapFilter final : public rocksdb::WalFilter {
 public:
  WalProcessingOption LogRecordFound(unsigned long long log_number, const std::string& log_file_name,
                                     const rocksdb::WriteBatch& batch, rocksdb::WriteBatch* new_batch,
                                     bool* batch_changed) override;
  const char* Name() const override { return "millrace.GapFilter"; }

 private:
  std::optional<uint64_t> next_;  // the sequence number that follows
};

// RocksDB's warnings and errors go to the server's own log. Not to a file beside the data: on a full disk RocksDB's
// file logger stops the process, at the second line that it can't write (Debian builds it with assertions). Keeps the
// first line that tells of corruption. Any thread.
class DamageLog final : public rocksdb::Logger {
 public:
  DamageLog() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
  // Empty: none.
  std::string Damage() const;

 private:
  mutable std::mutex mutex_;
  std::string damage_;  // guarded by mutex_
};

}  // namespace millrace
