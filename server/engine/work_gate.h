// Decides whether the server takes new work: not while it drains, while the disk of its store is nearly full, or while
// the store is being reopened.
#pragma once

#include "server/base/status.h"
#include "server/storage/store.h"

namespace millrace {

// Engine thread. Its errors say when a retry helps.
class WorkGate {
 public:
  explicit WorkGate(const Store& store) : store_(store) {}
  WorkGate(const WorkGate&) = delete;

  // For requests that bring new work: UNAVAILABLE (DRAINING, STORE_UNAVAILABLE), RESOURCE_EXHAUSTED (DISK_LOW).
  Status CheckNewWork() const;
  // For requests that change runs which exist: UNAVAILABLE (STORE_UNAVAILABLE).
  Status CheckStore() const;

  // Refuses new work from now on, until the process ends.
  void StartDraining() { draining_ = true; }
  bool draining() const { return draining_; }

 private:
  const Store& store_;
  bool draining_ = false;
};

}  // namespace millrace
