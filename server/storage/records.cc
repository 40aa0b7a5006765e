#include "server/storage/records.h"

namespace millrace {

Task<StatusOr<std::vector<std::optional<std::string>>>> GetRemembered(Store& store, std::vector<std::string> keys,
                                                                      int64_t& damaged) {
  auto values = co_await store.MultiGet(keys);
  if (values.ok() || values.status().code() != absl::StatusCode::kDataLoss) co_return values;
  std::vector<std::optional<std::string>> found;
  for (const std::string& key : keys) {
    auto value = co_await store.Get(key);
    if (value.ok()) {
      found.push_back(*std::move(value));
    } else if (value.status().code() == absl::StatusCode::kDataLoss) {
      found.push_back(std::nullopt);
      ++damaged;
    } else {
      co_return value.status();
    }
  }
  co_return found;
}

}  // namespace millrace
