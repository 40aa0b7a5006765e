// A stage that calls models about items, each apart from the others.
#pragma once

#include "server/base/task.h"
#include "server/llm/call.h"
#include "server/stages/parsed_item.h"
#include "server/stages/stage_context.h"

namespace millrace {

// Context of a stage that calls models.
struct CallingContext {
  StageContext stage;
  CallHandler& calls;
  CallContext call;  // for `calls`; the stage adds the items
};

// Immutable. Engine thread, so Process must not block or compute for long there: co_await Compute (server/base/pool.h).
// The engine processes up to `concurrency` items at once.
class CallingStage {
 public:
  virtual ~CallingStage() = default;

  // Processes one item. The context outlives the task. REQUIRES: if it makes several calls, it does not keep the
  // settlement of one while it waits for the next, unless all items make the calls in one order: a settlement holds the
  // claims of its questions (server/llm/claims.h), for which the call of another item may wait.
  virtual Task<StageItem> Process(CallingContext& context, ParsedItem item) const = 0;
};

}  // namespace millrace
