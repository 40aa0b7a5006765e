#include "server/storage/records.h"

namespace millrace {

Task<StatusOr<Remembered>> GetRemembered(Store& store, std::vector<std::string> keys) {
  Remembered remembered;
  auto values = co_await store.MultiGet(keys);
  if (values.ok()) {
    remembered.values = *std::move(values);
    co_return remembered;
  }
  if (values.status().code() != absl::StatusCode::kDataLoss) co_return values.status();
  for (const std::string& key : keys) {
    auto value = co_await store.Get(key);
    if (value.ok()) {
      remembered.values.push_back(*std::move(value));
      continue;
    }
    if (value.status().code() != absl::StatusCode::kDataLoss) co_return value.status();
    remembered.lost.insert(remembered.values.size());
    remembered.values.push_back(std::nullopt);
  }
  co_return remembered;
}

}  // namespace millrace
