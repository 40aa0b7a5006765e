// Queue of items between two stages that work at the same time, bounded in number and in bytes.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "server/base/loop.h"
#include "server/stages/item.h"

namespace millrace {

// Receives the items that a stage has committed, in the order of the commits. Engine thread.
class ItemConsumer {
 public:
  virtual ~ItemConsumer() = default;
  // Takes items; resumes when there is room for more.
  virtual Task<void> Put(std::vector<InputItem> items) = 0;
  // Nothing more will be put: the stage is done.
  virtual void Close() = 0;
};

// Engine thread. The reader brings its own event, so that it can wait for several things at once.
class Channel final : public ItemConsumer {
 public:
  Channel(Loop& loop, Event& readable, size_t items_max, size_t bytes_max)
      : readable_(readable), room_(loop), items_max_(items_max), bytes_max_(bytes_max) {}

  // Adds items in order, waiting for room. An item larger than the channel passes alone. After Stop items are dropped:
  // they are in the store, where the next episode reads them.
  Task<void> Put(std::vector<InputItem> items) override;

  // Removes and returns the oldest items, at most `max`.
  std::vector<InputItem> Take(size_t max);

  void Close() override;
  bool closed() const { return closed_; }
  // Returns true if it is closed and all items were taken.
  bool exhausted() const { return closed_ && items_.empty(); }

  // Drops all items, now and later: the reader is gone.
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
