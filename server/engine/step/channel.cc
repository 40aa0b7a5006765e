#include "server/engine/step/channel.h"

#include <utility>

namespace millrace {
namespace {

size_t BytesOf(const InputItem& item) { return (item.json ? item.json->size() : 0) + item.id.size(); }

}  // namespace

Task<void> Channel::Put(std::vector<InputItem> items) {
  for (InputItem& item : items) {
    while (full() && !stopped_) {
      readable_.NotifyAll();
      co_await room_.Wait();
    }
    if (stopped_) co_return;
    bytes_ += BytesOf(item);
    items_.push_back(std::move(item));
  }
  readable_.NotifyAll();
}

std::vector<InputItem> Channel::Take(size_t max) {
  std::vector<InputItem> taken;
  while (!items_.empty() && taken.size() < max) {
    bytes_ -= BytesOf(items_.front());
    taken.push_back(std::move(items_.front()));
    items_.pop_front();
  }
  if (!full()) room_.NotifyAll();
  return taken;
}

void Channel::Close() {
  closed_ = true;
  readable_.NotifyAll();
}

void Channel::Stop() {
  stopped_ = true;
  items_.clear();
  bytes_ = 0;
  room_.NotifyAll();
}

}  // namespace millrace
