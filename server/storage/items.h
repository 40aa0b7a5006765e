// Keys of the items of one stage of one run: rows by ordinal, and two indexes on them, by id and by the order of
// commits. And of items that are parked, in the order in which they wake.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/storage/keys.h"
#include "server/storage/runs.h"

namespace millrace {

// The keys of one stage of one run. A value.
class ItemKeys {
 public:
  ItemKeys(std::string_view run, std::string_view stage);

  std::string Item(int64_t ordinal) const { return KeyBuilder(item_).Number(ordinal); }
  std::string Id(std::string_view id) const { return KeyBuilder(id_).Text(id); }
  std::string Commit(int64_t number) const { return KeyBuilder(commit_).Number(number); }

  // Rows with an ordinal of at least `first`.
  KeyRange Items(int64_t first = INT64_MIN) const;
  // Commits with a number of at least `first`.
  KeyRange Commits(int64_t first = 0) const;
  // Deletes every row and index entry.
  void DeleteAll(WriteBatch& batch) const;

 private:
  KeyBuilder item_;
  KeyBuilder id_;
  KeyBuilder commit_;
};

// The ordinal, or the number of a commit, that a key of `Items` or `Commits` ends with.
int64_t LastNumberOf(std::string_view key);

// An ordinal as a value of the two indexes: 8 bytes, big-endian, framed.
std::string EncodeOrdinal(std::string_view key, int64_t ordinal);
std::optional<int64_t> DecodeOrdinal(std::string_view key, std::string_view value);

// A parked item.
struct ParkedItem {
  int64_t wake_micros = 0;
  std::string run;
  std::string stage;
  int64_t ordinal = 0;
};
std::string ParkedKey(const ParkedItem& item);
// Those that wake before this time.
KeyRange ParkedKeys(int64_t before_micros = INT64_MAX);
std::optional<ParkedItem> ReadParkedKey(std::string_view key);

}  // namespace millrace
