// The input of a stage that takes all its items at once.
#pragma once

#include <vector>

#include "server/base/status.h"
#include "server/base/task.h"
#include "server/stages/item.h"

namespace millrace {

// Items of a closed input in ordinal order, a page at a time; pages are bounded in items and bytes. Engine thread.
class ItemReader {
 public:
  virtual ~ItemReader() = default;

  // Returns the next items; none at the end.
  virtual Task<StatusOr<std::vector<InputItem>>> Next() = 0;
  // Starts again at the first item.
  virtual void Rewind() = 0;
};

}  // namespace millrace
