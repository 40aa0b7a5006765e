// All items of a reader, page by page, each worked on by the pool.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/base/pool.h"
#include "server/stages/stage.h"

namespace millrace::store {

// Calls `work(*writer, page)`, which returns Status and runs on the pool, for every page. The writer is shared with
// the pool: it must outlive a page whose waiter is gone. Ends with CANCELLED when the run is stopped.
template <typename Writer, typename Work>
Task<Status> ForEachPage(StageContext& context, ItemReader& reader, std::shared_ptr<Writer> writer, Work work) {
  while (true) {
    if (context.call.stop && context.call.stop->stopped()) {
      co_return MakeError(Reason::kCancelled, "the run was stopped while the stage was writing");
    }
    StatusOr<std::vector<InputItem>> page = co_await reader.Next();
    if (!page.ok()) co_return page.status();
    if (page->empty()) co_return absl::OkStatus();
    auto write = [writer, work, items = *std::move(page)] { return work(*writer, items); };
    const Status status = co_await Compute(context.loop, context.pool, std::move(write));
    if (!status.ok()) co_return status;
  }
}

// Calls `work(*writer)` on the pool.
template <typename Writer, typename Work>
auto OnPool(StageContext& context, std::shared_ptr<Writer> writer, Work work) {
  auto call = [writer, work] { return work(*writer); };
  return Compute(context.loop, context.pool, std::move(call));
}

}  // namespace millrace::store
