// Items that wait as rows for a time, with no coroutine, slot or timeout: the store knows when each wakes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/engine/run/run.h"
#include "server/storage/items.h"
#include "server/storage/store.h"

namespace millrace {

// Engine thread.
class Parking {
 public:
  using FindRun = std::function<std::shared_ptr<ActiveRun>(const std::string& run)>;

  Parking(Loop& loop, Store& store, FindRun find_run)
      : loop_(loop), store_(store), find_run_(std::move(find_run)), changed_(loop) {}

  // Wakes items whose time has come, for ever.
  Task<void> Watch();
  // An item was parked until then, or a run that has parked items goes on.
  void Look() {
    ++looks_;
    changed_.NotifyAll();
  }

 private:
  // Wakes what is due; when the next is.
  Task<std::optional<int64_t>> WakeDue();

  Loop& loop_;
  Store& store_;
  const FindRun find_run_;
  Event changed_;
  uint64_t looks_ = 0;
};

}  // namespace millrace
