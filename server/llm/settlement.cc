#include "server/llm/settlement.h"

namespace millrace {

Task<Status> Commit(Store& store, Settlement settlement, CommitMode mode) {
  if (settlement.batch.empty()) co_return absl::OkStatus();
  // `settlement` is in this coroutine's frame: its claims outlive the commit.
  co_return co_await store.Commit(std::move(settlement.batch), mode);
}

}  // namespace millrace
