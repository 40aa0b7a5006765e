// Column families of the database: which tables of keys share one tree of sorted files. A family that only grows at its
// end is written once, at the flush, because RocksDB moves files whose ranges do not overlap instead of merging them.
// One stream of ascending keys per family keeps that true. Keys in random order are merged with all that is there, so
// they have families of their own and should be small. Callers of Database see one map of keys.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace millrace {

enum class Family {
  kOther,    // everything else; RocksDB's default family
  kLog,      // settled attempts, in ascending order
  kPending,  // attempts that are not settled: deleted before the family grows
  kHashed,   // keys that begin with a digest
  kItems,    // items of runs
};
inline constexpr size_t kFamilies = 5;

// Returns the family of a key, by its table.
Family FamilyOf(std::string_view key);

// Returns the families of all keys with begin <= key < end (an empty end: no limit), in the order of Family.
std::vector<Family> FamiliesOf(std::string_view begin, std::string_view end);

}  // namespace millrace
