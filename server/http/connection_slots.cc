#include "server/http/connection_slots.h"

#include <algorithm>

namespace millrace {

struct ConnectionSlots::State {
  int max = 1;
  int origin_max = 1;
  int taken = 0;
  std::map<std::string, int> by_origin;  // slots that are taken
  std::list<std::pair<std::string, std::shared_ptr<Event>>> waiting;
  bool is_closed = false;

  bool HasRoom(const std::string& origin) const {
    const auto own = by_origin.find(origin);
    return taken < max && (own == by_origin.end() || own->second < origin_max);
  }
  void Release(const std::string& origin) {
    --taken;
    const auto own = by_origin.find(origin);
    if (--own->second == 0) by_origin.erase(own);
    WakeNext();
  }
  // Wakes the first that may have a slot now.
  void WakeNext() {
    if (is_closed) return;
    const auto first =
        std::find_if(waiting.begin(), waiting.end(), [this](const auto& one) { return HasRoom(one.first); });
    if (first != waiting.end()) first->second->NotifyAll();
  }
};

ConnectionSlots::Slot::~Slot() {
  if (state_) state_->Release(origin_);
}

ConnectionSlots::Place::Place(ConnectionSlots& slots, Loop& loop, std::string origin)
    : state_(slots.state_), event_(std::make_shared<Event>(loop)) {
  at_ = state_->waiting.insert(state_->waiting.end(), {std::move(origin), event_});
}

ConnectionSlots::Place::~Place() {
  state_->waiting.erase(at_);
  state_->WakeNext();  // this one may have been woken and have left without a slot
}

ConnectionSlots::ConnectionSlots(int max) : state_(std::make_shared<State>()) {
  state_->max = max;
  state_->origin_max = std::max(1, max - max / 4);
}

ConnectionSlots::~ConnectionSlots() { state_->is_closed = true; }

std::optional<ConnectionSlots::Slot> ConnectionSlots::Take(const std::string& origin) {
  if (!state_->HasRoom(origin)) return std::nullopt;
  ++state_->taken;
  ++state_->by_origin[origin];
  return Slot(state_, origin);
}

bool ConnectionSlots::full() const { return state_->taken >= state_->max; }

bool ConnectionSlots::has_waiting() const { return !state_->waiting.empty(); }

bool ConnectionSlots::WakeOf(const std::string& origin) {
  const auto first = std::find_if(state_->waiting.begin(), state_->waiting.end(),
                                  [&origin](const auto& one) { return one.first == origin; });
  if (first == state_->waiting.end()) return false;
  first->second->NotifyAll();
  return true;
}

}  // namespace millrace
