#include "server/engine/patient_store.h"

#include <utility>

namespace millrace {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(200);

bool IsTransient(const Status& status) { return status.code() == absl::StatusCode::kUnavailable; }

}  // namespace

// A store that reopens notifies; whether a full disk has room again shows only by a retry.
Task<void> PatientStore::AwaitRetry() {
  if (inner_.state() == StoreState::kReopening) {
    co_await inner_.WaitForChange(StoreState::kReopening);
  } else {
    co_await loop_.Sleep(kRetryDelay);
  }
}

Task<Status> PatientStore::Commit(WriteBatch batch, CommitMode mode) {
  while (true) {
    WriteBatch copy = batch;
    const Status status = co_await inner_.Commit(std::move(copy), mode);
    // Retries after any error, even if it may be permanent: giving up would lose what was paid for.
    if (status.ok()) co_return status;
    co_await AwaitRetry();
  }
}

Task<StatusOr<std::optional<std::string>>> PatientStore::Get(std::string key) {
  while (true) {
    StatusOr<std::optional<std::string>> value = co_await inner_.Get(key);
    if (value.ok() || !IsTransient(value.status())) co_return value;
    co_await AwaitRetry();
  }
}

Task<StatusOr<std::vector<std::optional<std::string>>>> PatientStore::MultiGet(std::vector<std::string> keys) {
  while (true) {
    StatusOr<std::vector<std::optional<std::string>>> values = co_await inner_.MultiGet(keys);
    if (values.ok() || !IsTransient(values.status())) co_return values;
    co_await AwaitRetry();
  }
}

Task<StatusOr<ScanPage>> PatientStore::Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                                            Direction direction) {
  while (true) {
    StatusOr<ScanPage> page = co_await inner_.Scan(begin, end, entries_max, bytes_max, direction);
    if (page.ok() || !IsTransient(page.status())) co_return page;
    co_await AwaitRetry();
  }
}

Task<StatusOr<Store::Size>> PatientStore::EstimateSize(std::string begin, std::string end) {
  return inner_.EstimateSize(std::move(begin), std::move(end));
}

}  // namespace millrace
