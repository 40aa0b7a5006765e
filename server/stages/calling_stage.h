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

// Immutable. Engine thread. The engine processes up to `concurrency` items at once.
class CallingStage {
 public:
  virtual ~CallingStage() = default;

  // Processes one item. The context outlives the task.
  virtual Task<StageItem> Process(CallingContext& context, ParsedItem item) const = 0;
};

}  // namespace millrace
