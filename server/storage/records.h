// Messages in the store: put into a batch, read from the store, each inside the frame of value_codec.h.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/store.h"
#include "server/storage/value_codec.h"

namespace millrace {

template <typename Message>
void PutRecord(WriteBatch& batch, std::string key, const Message& message) {
  std::string value = EncodeValue(key, message);
  batch.Put(std::move(key), std::move(value));
}

// Returns the record of a key; nullopt if there is none.
template <typename Message>
Task<StatusOr<std::optional<Message>>> GetRecord(Store& store, std::string key) {
  MR_CO_ASSIGN_OR_RETURN(const std::optional<std::string> value, co_await store.Get(key));
  if (!value) co_return std::optional<Message>();
  Message message;
  MR_CO_RETURN_IF_ERROR(DecodeValue(key, *value, message));
  co_return std::optional<Message>(std::move(message));
}

// Values of keys, in the order of the keys. A value that the disk has lost is absent, and its index is in `lost`.
struct Remembered {
  std::vector<std::optional<std::string>> values;
  std::set<size_t> lost;
};
// Reads cached answers and memoized results: values that can be made again, so that a lost one is not an error.
// UNAVAILABLE as Store::Get.
Task<StatusOr<Remembered>> GetRemembered(Store& store, std::vector<std::string> keys);

}  // namespace millrace
