// Keys of the items of one stage of one run: rows by ordinal, with two indexes by id and by order of commit. Also keys
// of parked items, in the order of their wake times.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/storage/keys.h"
#include "server/storage/runs.h"

namespace millrace {

// Keys of one stage of one run. A value.
class ItemKeys {
 public:
  ItemKeys(std::string_view run, std::string_view stage);

  std::string Item(int64_t ordinal) const { return KeyBuilder(item_).Number(ordinal); }
  std::string Id(std::string_view id) const { return KeyBuilder(id_).Text(id); }
  std::string Commit(int64_t number) const { return KeyBuilder(commit_).Number(number); }

  // Returns the keys of rows with an ordinal of at least `first`.
  KeyRange Items(int64_t first = INT64_MIN) const;
  // Returns the keys of commits with a number of at least `first`.
  KeyRange Commits(int64_t first = 0) const;
  // Deletes every row and index entry.
  void DeleteAll(WriteBatch& batch) const;

 private:
  KeyBuilder item_;
  KeyBuilder id_;
  KeyBuilder commit_;
};

// Returns the ordinal at the end of a key of `Items`, or the number at the end of one of `Commits`.
int64_t LastNumberOf(std::string_view key);

// Returns an ordinal as a value of the two indexes under `key`: 8 bytes, big-endian, framed.
std::string EncodeOrdinal(std::string_view key, int64_t ordinal);
// Returns the ordinal in such a value; nullopt if it is damaged.
std::optional<int64_t> DecodeOrdinal(std::string_view key, std::string_view value);

// An item that waits for a point in time.
struct ParkedItem {
  int64_t wake_micros = 0;  // microseconds since 1970-01-01 UTC
  std::string run;
  std::string stage;
  int64_t ordinal = 0;
};
std::string ParkedKey(const ParkedItem& item);
// Returns the keys of items that wake before this time.
KeyRange ParkedKeys(int64_t before_micros = INT64_MAX);
// Returns the item of a key; nullopt if the bytes are not such a key.
std::optional<ParkedItem> ReadParkedKey(std::string_view key);

}  // namespace millrace
