#include "server/storage/items.h"

#include "server/storage/value_codec.h"

namespace millrace {
namespace {

std::string BigEndian(int64_t number) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(number) >> (56 - 8 * i));
  return bytes;
}

int64_t FromBigEndian(std::string_view bytes) {
  uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return static_cast<int64_t>(number);
}

}  // namespace

ItemKeys::ItemKeys(std::string_view run, std::string_view stage)
    : item_(KeyBuilder(Table::kItem).Text(run).Text(stage)),
      id_(KeyBuilder(Table::kItemId).Text(run).Text(stage)),
      commit_(KeyBuilder(Table::kItemCommit).Text(run).Text(stage)) {}

KeyRange ItemKeys::Items(int64_t first) const { return {Item(first), PrefixEnd(item_)}; }
KeyRange ItemKeys::Commits(int64_t first) const { return {Commit(first), PrefixEnd(commit_)}; }

void ItemKeys::DeleteAll(WriteBatch& batch) const {
  for (const KeyBuilder* prefix : {&item_, &id_, &commit_}) batch.DeleteRange(*prefix, PrefixEnd(*prefix));
}

int64_t LastNumberOf(std::string_view key) {
  // Undoes KeyBuilder::Number, which flips the sign bit so that negative numbers sort first.
  if (key.size() < 8) return 0;
  return FromBigEndian(key.substr(key.size() - 8)) ^ INT64_MIN;
}

std::string EncodeOrdinal(std::string_view key, int64_t ordinal) {
  return EncodeValue(key, std::string_view(BigEndian(ordinal)));
}

std::optional<int64_t> DecodeOrdinal(std::string_view key, std::string_view value) {
  const StatusOr<std::string> bytes = DecodeValue(key, value);
  if (!bytes.ok() || bytes->size() != 8) return std::nullopt;
  return FromBigEndian(*bytes);
}

std::string ParkedKey(const ParkedItem& item) {
  return KeyBuilder(Table::kParked).Number(item.wake_micros).Text(item.run).Text(item.stage).Number(item.ordinal);
}

KeyRange ParkedKeys(int64_t before_micros) {
  return {KeyBuilder(Table::kParked), KeyBuilder(Table::kParked).Number(before_micros)};
}

std::optional<ParkedItem> ReadParkedKey(std::string_view key) {
  KeyReader reader(key);
  const std::optional<int64_t> wake = reader.Number();
  std::optional<std::string> run = reader.Text();
  std::optional<std::string> stage = reader.Text();
  const std::optional<int64_t> ordinal = reader.Number();
  if (!wake || !run || !stage || !ordinal) return std::nullopt;
  return ParkedItem{*wake, *std::move(run), *std::move(stage), *ordinal};
}

}  // namespace millrace
