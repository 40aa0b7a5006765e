// A stage that needs its whole input before it can make anything.
#pragma once

#include <cstdint>
#include <vector>

#include "server/base/status.h"
#include "server/base/task.h"
#include "server/stages/item.h"
#include "server/stages/item_reader.h"

namespace millrace {

struct StageContext;

// Receives the items that a barrier makes, in order. Engine thread.
class ItemWriter {
 public:
  virtual ~ItemWriter() = default;

  // Commits items. Bounded: resumes when they are in the store.
  virtual Task<Status> Put(std::vector<StageItem> items) = 0;
  // Adds to what is odd about the input, counted in items: the run warns of it. The default drops it.
  virtual void Note(const Oddities& /*oddities*/) {}
};

// Immutable. Engine thread, so Run must not block or compute for long there: co_await Compute (server/base/pool.h).
class BarrierStage {
 public:
  virtual ~BarrierStage() = default;

  // Makes items of all items of a closed input. `input_ids` of an item name the input items that it was made of. An
  // input item that ends here (it is left out, or in no group) is put with its own id and state SKIPPED.
  virtual Task<Status> Run(StageContext& context, ItemReader& reader, ItemWriter& writer) const = 0;

  // Returns about how many bytes of memory Run takes at most for `items` items with `bytes` of JSON together, for
  // `plan`; 0: not known. Nothing is refused because of it: Run itself fails if it would exceed its own limit, and
  // nothing limits the sum over barriers that run at the same time.
  virtual int64_t MemoryBytes(int64_t /*items*/, int64_t /*bytes*/) const { return 0; }
};

}  // namespace millrace
