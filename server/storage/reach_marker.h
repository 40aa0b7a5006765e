// How far a store reached, in a file beside the database (`reached`). RocksDB can't know that its write-ahead log was
// deleted or cut at the end of a record: it would open what is left, or an empty store, without a word.
//
// The marker is a lower bound: what it says was there. It is written by the writer's thread, after each group of
// batches and before they are acknowledged, without a sync: one small write into the system's cache, which a killed
// process leaves behind and a power loss may take back to an older state, at most as old as the system leaves changes
// unwritten (about 30 s).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "server/base/fd.h"
#include "server/base/status.h"

namespace millrace {

// Numbers of changes, as RocksDB counts them. A store that has just been made may have 0.
struct Reach {
  uint64_t written = 0;  // the last change that was stored: exists after any end of the process
  uint64_t synced = 0;   // the last one that was on the disk: exists also after a power loss
  uint64_t closed = 0;   // the last one in tables when the store was closed; less than `written` if it was not
};

// Writer of the marker in a directory. One thread at a time.
class ReachMarker {
 public:
  explicit ReachMarker(const std::string& directory) : path_(directory + "/reached") {}

  // Reads the marker; nullopt if there is none, as in stores of earlier releases. STORE_CORRUPT if it can't be
  // understood.
  StatusOr<std::optional<Reach>> Read() const;
  // Writes the marker. Errors are ignored: the old one stays true, as it is a lower bound.
  void Write(const Reach& reach);

 private:
  const std::string path_;
  UniqueFd file_;
};

// Checks what an opened store has against its marker. `same_boot`: the system was not restarted since the marker was
// written. STORE_CORRUPT, with how much is missing and the remedy.
Status CheckReach(const Reach& marker, uint64_t found, bool same_boot);

}  // namespace millrace
