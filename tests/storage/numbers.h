// Numbers as a store keeps them in tests of crashes: in one batch under a key in every column family.
#pragma once

#include <string>
#include <vector>

#include "server/storage/keys.h"
#include "server/storage/store.h"

namespace millrace {

inline const std::vector<std::string>& NumberPrefixes() {
  static const std::vector<std::string> kPrefixes = {
      "number-", KeyBuilder(Table::kSettled).Text("number"), KeyBuilder(Table::kPending).Text("number"),
      KeyBuilder(Table::kAnswer).Text("number"), KeyBuilder(Table::kItem).Text("number")};
  return kPrefixes;
}

inline constexpr int kFirstNumber = 10'000'000;  // so that keys sort as their numbers do

inline void PutNumber(WriteBatch& batch, int number, const std::string& value) {
  for (const std::string& prefix : NumberPrefixes()) batch.Put(prefix + std::to_string(kFirstNumber + number), value);
}

}  // namespace millrace
