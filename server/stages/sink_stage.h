// A stage that writes items to outside.
#pragma once

#include "server/base/status.h"
#include "server/base/task.h"
#include "server/stages/item_reader.h"

namespace millrace {

struct StageContext;

// Immutable. Engine thread, so Write must not block or compute for long there: co_await Compute (server/base/pool.h).
class SinkStage {
 public:
  virtual ~SinkStage() = default;

  // Writes all items of a closed input. REQUIRES: idempotent, by the context's `generation`: the engine repeats it
  // after a crash.
  virtual Task<Status> Write(StageContext& context, ItemReader& reader) const = 0;
};

}  // namespace millrace
