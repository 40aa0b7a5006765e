#include "server/storage/recovery_watch.h"

#include <rocksdb/write_batch.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

namespace millrace {

rocksdb::WalFilter::WalProcessingOption GapFilter::LogRecordFound(unsigned long long, const std::string&,
                                                                  const rocksdb::WriteBatch& batch,
                                                                  rocksdb::WriteBatch*, bool*) {
  // The bytes of a batch begin with the sequence number of its first change: 8 bytes, little-endian. Each change has a
  // number.
  const std::string& bytes = batch.Data();
  if (bytes.size() < 8) return WalProcessingOption::kCorruptedRecord;
  uint64_t sequence = 0;
  for (int i = 7; i >= 0; --i) sequence = sequence << 8 | static_cast<uint8_t>(bytes[i]);
  if (next_ && sequence > *next_) return WalProcessingOption::kCorruptedRecord;
  next_ = sequence + batch.Count();
  return WalProcessingOption::kContinueProcessing;
}

void DamageLog::Logv(const char* format, va_list arguments) {
  char line[1024];
  const int length = std::vsnprintf(line, sizeof(line), format, arguments);
  std::string text(line, length > 0 ? std::min<size_t>(static_cast<size_t>(length), sizeof(line) - 1) : 0);
  const size_t place = text.find(".cc:");  // drops `[WARN] [db/x.cc:12] `, the place in RocksDB's source
  if (const size_t begin = text.find("] ", place); place != std::string::npos && begin != std::string::npos) {
    text.erase(0, begin + 2);
  }
  text.erase(std::min(text.find('\n'), text.size()));  // drops dumps of the manifest, which follow some errors
  spdlog::warn("store: RocksDB: {}", text);
  if (text.find("orrupt") == std::string::npos) return;
  const std::lock_guard lock(mutex_);
  if (damage_.empty()) damage_ = std::move(text);
}

std::string DamageLog::Damage() const {
  const std::lock_guard lock(mutex_);
  return damage_;
}

}  // namespace millrace
