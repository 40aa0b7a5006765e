// Request to stop work: because its run is paused or cancelled, or its client has left.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/base/loop.h"

namespace millrace {

// Flag that is set once and then ends the waits of all who watch it. A run shares it with everything that works for the
// run. Engine thread only.
class StopSignal {
 public:
  explicit StopSignal(Loop& loop) : event_(loop) {}
  StopSignal(const StopSignal&) = delete;

  bool stopped() const { return stopped_; }
  // Sets the flag, notifies waiters and calls the watches' functions; does nothing the second time.
  void Stop() {
    if (stopped_) return;
    stopped_ = true;
    event_.NotifyAll();
    for (auto& [number, function] : watches_) function();
  }
  // Returns the event that Stop notifies. Waiters check stopped() first.
  Event& event() { return event_; }

  // Calls a function inside Stop, unless the watch is destroyed first. The function may notify coroutines, but must
  // neither create nor destroy a watch. It is not called if the signal has stopped before the watch is made, so check
  // stopped() too. The signal must outlive the watch.
  class Watch {
   public:
    Watch(StopSignal& signal, absl::AnyInvocable<void()> function) : signal_(signal), number_(signal.watches_made_++) {
      signal_.watches_.emplace(number_, std::move(function));
    }
    Watch(const Watch&) = delete;
    ~Watch() { signal_.watches_.erase(number_); }

   private:
    StopSignal& signal_;
    const uint64_t number_;
  };

 private:
  bool stopped_ = false;
  Event event_;
  uint64_t watches_made_ = 0;
  std::map<uint64_t, absl::AnyInvocable<void()>> watches_;
};

}  // namespace millrace
