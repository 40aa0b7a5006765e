#include "server/storage/families.h"

#include <string>

#include "server/storage/keys.h"
#include "server/storage/store.h"

namespace millrace {
namespace {

// Bytes before the parts of a key: the tenant and the table.
constexpr size_t kPrefixBytes = 2;

Family FamilyOfTable(Table table) {
  switch (table) {
    case Table::kSettled:
      return Family::kLog;
    case Table::kPending:
      return Family::kPending;
    case Table::kAnswer:
    case Table::kRunAnswer:
    case Table::kMemo:
    case Table::kMemoPart:
    case Table::kRunMemo:
      return Family::kHashed;
    case Table::kItem:
    case Table::kItemId:
    case Table::kItemCommit:
    case Table::kRunSettled:
      return Family::kItems;
    default:
      return Family::kOther;
  }
}

}  // namespace

Family FamilyOf(std::string_view key) {
  return key.size() < kPrefixBytes ? Family::kOther : FamilyOfTable(static_cast<Table>(key[1]));
}

std::vector<Family> FamiliesOf(std::string_view begin, std::string_view end) {
  const bool one_table =
      begin.size() >= kPrefixBytes && !end.empty() && end <= PrefixEnd(std::string(begin.substr(0, kPrefixBytes)));
  if (one_table) return {FamilyOf(begin)};
  std::vector<Family> all;
  for (size_t i = 0; i < kFamilies; ++i) all.push_back(static_cast<Family>(i));
  return all;
}

}  // namespace millrace
