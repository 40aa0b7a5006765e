// Column families of the database. A family is a tree of sorted files of its own, with the tables of keys that are
// written in the same pattern. Ascending keys are written once, at the flush: their files do not overlap, and RocksDB
// moves such files instead of merging them. Keys in random order are merged with all that is there, so they have
// families of their own and should be small. A new table belongs into the family with its pattern (FamilyOf). Callers
// of Database see one map of keys.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace millrace {

enum class Family {
  kOther,    // everything else; RocksDB's default family
  kLog,      // settled records, in one stream of ascending numbers
  kPending,  // unsettled attempts: deleted before the family grows
  kHashed,   // keys that begin with a digest
  kItems,    // items of runs, ascending in each stage
};
inline constexpr size_t kFamilies = 5;

// Returns the family of a key, by its table.
Family FamilyOf(std::string_view key);

// Returns the families of all keys with begin <= key < end (an empty end: no limit), in the order of Family.
std::vector<Family> FamiliesOf(std::string_view begin, std::string_view end);

}  // namespace millrace
