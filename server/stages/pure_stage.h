// A stage that computes items from items, each apart from the others.
#pragma once

#include <vector>

#include "server/stages/parsed_item.h"

namespace millrace {

// Immutable; any thread. The engine computes on the pool, many items at a time.
class PureStage {
 public:
  virtual ~PureStage() = default;

  // Makes one item of each input item, in their order. A pure function: equal items give equal results, because they
  // are memoized.
  virtual std::vector<StageItem> Compute(std::vector<ParsedItem> items) const = 0;
};

}  // namespace millrace
