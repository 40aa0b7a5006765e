#include "tests/e2e/attempts_on_disk.h"

#include <rocksdb/db.h>

#include <memory>
#include <stdexcept>

#include "millrace/storage/v1/records.pb.h"
#include "server/storage/families.h"
#include "server/storage/keys.h"
#include "server/storage/rocks_settings.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

// Discards log lines, so that opening a database for reading leaves its log file unchanged.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Calls `take` with every record of a table.
template <typename Record, typename Take>
void ForEach(rocksdb::DB& database, const std::vector<rocksdb::ColumnFamilyHandle*>& families, Table table, Take take) {
  const std::string prefix = KeyBuilder(table);
  const auto family = static_cast<size_t>(FamilyOf(prefix));
  const std::unique_ptr<rocksdb::Iterator> entry(database.NewIterator(RocksReads(), families.at(family)));
  for (entry->Seek(prefix); entry->Valid() && entry->key().starts_with(prefix); entry->Next()) {
    const auto record = Decode<Record>(entry->key().ToString(), entry->value().ToString());
    if (!record.ok()) throw std::runtime_error(record.status().ToString());
    take(*record);
  }
  if (!entry->status().ok()) throw std::runtime_error(entry->status().ToString());
}

}  // namespace

std::map<std::string, AttemptsOfItem> ReadAttemptsOnDisk(const std::filesystem::path& data_dir) {
  rocksdb::Options options = RocksSettings();
  options.info_log = std::make_shared<NoLog>();
  rocksdb::DB* opened = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  const rocksdb::Status status =
      rocksdb::DB::OpenForReadOnly(options, data_dir.string(), FamilySettings(options), &families, &opened);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  const std::unique_ptr<rocksdb::DB> database(opened);

  std::map<std::string, AttemptsOfItem> attempts;
  const auto note = [&attempts](const v1::Attempt& attempt) {
    const bool is_answered =
        attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED || attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED_BAD;
    for (const std::string& item : attempt.item_ids()) {
      ++attempts[item].recorded;
      if (is_answered) attempts[item].answered = true;
    }
  };
  using storage::v1::PendingRecord;
  using storage::v1::SettledRecord;
  ForEach<SettledRecord>(*database, families, Table::kSettled, [&](const SettledRecord& record) {
    for (const v1::Attempt& attempt : record.attempts()) note(attempt);
  });
  ForEach<PendingRecord>(*database, families, Table::kPending,
                         [&](const PendingRecord& record) { note(record.attempt()); });
  for (rocksdb::ColumnFamilyHandle* family : families) (void)database->DestroyColumnFamilyHandle(family);
  return attempts;
}

}  // namespace millrace
