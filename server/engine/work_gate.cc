#include "server/engine/work_gate.h"

#include <chrono>

namespace millrace {

Status WorkGate::CheckNewWork() const {
  if (draining_) {
    return WithRetryDelay(MakeError(Reason::kDraining, "the server is shutting down"), std::chrono::seconds(5));
  }
  if (store_.state() == StoreState::kDiskLow) {
    const Status status =
        MakeError(Reason::kDiskLow, "the disk of the data directory is nearly full; the server takes no new work");
    return WithRetryDelay(status, std::chrono::seconds(10));
  }
  return CheckStore();
}

Status WorkGate::CheckStore() const {
  if (store_.state() != StoreState::kReopening) return absl::OkStatus();
  return WithRetryDelay(MakeError(Reason::kStoreUnavailable, "the store is being reopened"), std::chrono::seconds(1));
}

}  // namespace millrace
