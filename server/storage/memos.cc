#include "server/storage/memos.h"

#include "server/storage/keys.h"

namespace millrace {

std::string MemoKey(const Digest& key) { return KeyBuilder(Table::kMemo).Key(key); }
KeyRange MemoKeys() { return {KeyBuilder(Table::kMemo), PrefixEnd(KeyBuilder(Table::kMemo))}; }
std::string MemoPartKey(const Digest& key, int64_t number) {
  return KeyBuilder(Table::kMemoPart).Key(key).Number(number);
}
KeyRange MemoPartKeys() { return {KeyBuilder(Table::kMemoPart), PrefixEnd(KeyBuilder(Table::kMemoPart))}; }
std::string RunMemoKey(std::string_view run, const Digest& key) {
  return KeyBuilder(Table::kRunMemo).Text(run).Key(key);
}

}  // namespace millrace
