#include "server/storage/recovery_watch.h"

#include <rocksdb/write_batch.h>

#include <cstdarg>
#include <cstdio>

namespace millrace {

rocksdb::WalFilter::WalProcessingOption GapFilter::LogRecordFound(unsigned long long, const std::string&,
                                                                  const rocksdb::WriteBatch& batch,
                                                                  rocksdb::WriteBatch*, bool*) {
  // A batch's bytes begin with the sequence number of its first change, 8 bytes little-endian; each change has one.
  const std::string& bytes = batch.Data();
  if (bytes.size() < 8) return WalProcessingOption::kCorruptedRecord;
  uint64_t sequence = 0;
  for (int i = 7; i >= 0; --i) sequence = sequence << 8 | static_cast<uint8_t>(bytes[i]);
  if (next_ && sequence > *next_) return WalProcessingOption::kCorruptedRecord;
  next_ = sequence + batch.Count();
  return WalProcessingOption::kContinueProcessing;
}

void DamageLog::Logv(const char* format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  char line[1024];
  const int length = std::vsnprintf(line, sizeof(line), format, again);
  va_end(again);
  const std::string text(line, length > 0 ? std::min<size_t>(static_cast<size_t>(length), sizeof(line) - 1) : 0);
  if (text.find("orrupt") != std::string::npos) {
    const size_t place = text.find(".cc:");  // `[db/x.cc:12] ` says where in RocksDB
    const size_t begin = place == std::string::npos ? place : text.find("] ", place);
    const std::lock_guard lock(mutex_);
    if (damage_.empty()) damage_ = begin == std::string::npos ? text : text.substr(begin + 2);
  }
  inner_->Logv(format, arguments);
}

std::string DamageLog::Damage() const {
  const std::lock_guard lock(mutex_);
  return damage_;
}

}  // namespace millrace
