// Processing of all items of a reader on the pool, page by page.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/base/pool.h"
#include "server/stages/item_reader.h"
#include "server/stages/stage_context.h"

namespace millrace::store {

// Calls `work(*writer, page)` on the pool for each page, until the end or the first error. Shares the writer with the
// pool, where a page continues even if this coroutine is destroyed. CANCELLED if the run is stopped.
template <typename Writer, typename Work>
Task<Status> ForEachPage(StageContext& context, ItemReader& reader, std::shared_ptr<Writer> writer, Work work) {
  while (true) {
    if (context.stop && context.stop->stopped()) {
      co_return MakeError(Reason::kCancelled, "the run was stopped while the stage was writing");
    }
    MR_CO_ASSIGN_OR_RETURN(std::vector<InputItem> page, co_await reader.Next());
    if (page.empty()) co_return absl::OkStatus();
    auto write = [writer, work, items = std::move(page)] { return work(*writer, items); };
    MR_CO_RETURN_IF_ERROR(co_await Compute(context.loop, context.pool, std::move(write)));
  }
}

// Opens the writer on the pool. Waits while the process has no free file descriptor. CANCELLED if the run is stopped.
template <typename Writer>
Task<Status> OpenPatiently(StageContext& context, std::shared_ptr<Writer> writer) {
  constexpr Duration kPause = std::chrono::milliseconds(100);
  while (true) {
    auto open = [writer] { return writer->Open(); };
    Status status = co_await Compute(context.loop, context.pool, std::move(open));
    if (ReasonOf(status) != Reason::kTooMany) co_return status;
    if (context.stop && context.stop->stopped()) {
      co_return MakeError(Reason::kCancelled, "the run was stopped while the stage was about to write");
    }
    co_await context.loop.Sleep(kPause);
  }
}

// Calls `work(*writer)` on the pool and resumes with its result.
template <typename Writer, typename Work>
auto OnPool(StageContext& context, std::shared_ptr<Writer> writer, Work work) {
  auto call = [writer, work] { return work(*writer); };
  return Compute(context.loop, context.pool, std::move(call));
}

}  // namespace millrace::store
