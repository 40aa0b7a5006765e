// Bound of the connections that are open at the same time, so that requests wait when no descriptor is left instead of
// failing. Of all slots, one origin gets at most three quarters: a provider that hangs must not take those of the
// others.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/base/loop.h"

namespace millrace {

// Loop's thread only.
class ConnectionSlots {
  struct State;

 public:
  // The right to have one connection open, until it is destroyed.
  class Slot {
   public:
    Slot(Slot&& other) noexcept = default;
    Slot& operator=(Slot&& other) noexcept {
      std::swap(state_, other.state_);
      std::swap(origin_, other.origin_);
      return *this;
    }
    ~Slot();

   private:
    friend class ConnectionSlots;
    Slot(std::shared_ptr<State> state, std::string origin) : state_(std::move(state)), origin_(std::move(origin)) {}

    std::shared_ptr<State> state_;  // null: moved away
    std::string origin_;
  };

  // A request that waits for a slot, in the order of the constructors' calls. `event` is notified when Take may
  // succeed.
  class Place {
   public:
    Place(ConnectionSlots& slots, Loop& loop, std::string origin);
    Place(const Place&) = delete;
    ~Place();
    Event& event() { return *event_; }

   private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Event> event_;
    std::list<std::pair<std::string, std::shared_ptr<Event>>>::iterator at_;
  };

  // REQUIRES: `max` >= 1.
  explicit ConnectionSlots(int max);
  // Slots that are destroyed later wake nobody.
  ~ConnectionSlots();

  // Returns a slot; nullopt if none is free, or the origin has its share.
  std::optional<Slot> Take(const std::string& origin);
  // Returns whether all slots are taken. If not, an origin that gets none has its share.
  bool full() const;
  bool has_waiting() const;
  // Wakes the first request that waits for this origin. Returns false if none does.
  bool WakeOf(const std::string& origin);

 private:
  std::shared_ptr<State> state_;
};

}  // namespace millrace
