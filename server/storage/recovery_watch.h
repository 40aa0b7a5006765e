// Watches a database while it recovers. Refuses logs with a gap between them, which RocksDB would replay (the end of an
// earlier log was lost and a later log was not). Keeps the message of RocksDB's log about damage, because that names
// the file and RocksDB's errors do not. For database.cc only.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/wal_filter.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace millrace {

// Reports a record as corrupt if its sequence number does not follow that of the record before it.
class GapFilter final : public rocksdb::WalFilter {
 public:
  WalProcessingOption LogRecordFound(unsigned long long log_number, const std::string& log_file_name,
                                     const rocksdb::WriteBatch& batch, rocksdb::WriteBatch* new_batch,
                                     bool* batch_changed) override;
  const char* Name() const override { return "millrace.GapFilter"; }

 private:
  std::optional<uint64_t> next_;  // sequence number of the next record
};

// Writes RocksDB's warnings and errors to the server's log, and keeps the first line about corruption. RocksDB's own
// logger, which writes to a file beside the data, aborts the process on a full disk at the second line that it can't
// write (Debian builds it with assertions). Any thread.
class DamageLog final : public rocksdb::Logger {
 public:
  DamageLog() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
  // Returns the first line about corruption; empty if there was none.
  std::string Damage() const;

 private:
  mutable std::mutex mutex_;
  std::string damage_;  // guarded by mutex_
};

}  // namespace millrace
