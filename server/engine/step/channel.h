// An edge between two stages that work at the same time: items on their way, bounded in number and in bytes.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "server/base/loop.h"
#include "server/stages/stage.h"

namespace millrace {

// Engine thread. Its reader waits on its own event, which it shares with all else that it waits for.
class Channel {
 public:
  Channel(Loop& loop, Event& readable, size_t items_max, size_t bytes_max)
      : readable_(readable), room_(loop), items_max_(items_max), bytes_max_(bytes_max) {}

  // Adds items in order, waiting for room. An item larger than the channel passes alone. After Stop they are dropped:
  // they are in the store, and whoever reads next finds them there.
  Task<void> Put(std::vector<InputItem> items);

  // At most `max` of the items that are there.
  std::vector<InputItem> Take(size_t max);

  // Nothing more will be put.
  void Close();
  bool closed() const { return closed_; }
  // Closed, and all taken.
  bool exhausted() const { return closed_ && items_.empty(); }

  // The reader is gone.
  void Stop();

  size_t size() const { return items_.size(); }

 private:
  bool full() const { return items_.size() >= items_max_ || bytes_ >= bytes_max_; }

  Event& readable_;
  Event room_;
  const size_t items_max_;
  const size_t bytes_max_;
  std::deque<InputItem> items_;
  size_t bytes_ = 0;
  bool closed_ = false;
  bool stopped_ = false;
};

}  // namespace millrace
