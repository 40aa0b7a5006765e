// Parked items: they wait for a wall time as rows in the store, without a coroutine, slot or timeout.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/engine/run/run.h"
#include "server/storage/items.h"
#include "server/storage/store.h"

namespace millrace {

// Wakes parked items. Engine thread.
class Parking {
 public:
  using FindRun = std::function<std::shared_ptr<ActiveRun>(const std::string& run)>;

  Parking(Loop& loop, Store& store, FindRun find_run)
      : loop_(loop), store_(store), find_run_(std::move(find_run)), changed_(loop) {}

  // Wakes items whose time has come. Never ends.
  Task<void> Watch();
  // Looks again, because an item was parked, or a run with parked items has started.
  void Look() {
    ++looks_;
    changed_.NotifyAll();
  }

 private:
  // Wakes items that are due. Returns the next item's wake-up time.
  Task<std::optional<int64_t>> WakeDue();

  Loop& loop_;
  Store& store_;
  const FindRun find_run_;
  Event changed_;
  uint64_t looks_ = 0;
};

}  // namespace millrace
