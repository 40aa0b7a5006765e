// The request to stop: pause, cancel, a client that has left.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/base/loop.h"

namespace millrace {

// Ends the waits of everybody who registered. Shared by a run and all that works for it. Engine thread only.
class StopSignal {
 public:
  explicit StopSignal(Loop& loop) : event_(loop) {}
  StopSignal(const StopSignal&) = delete;

  bool stopped() const { return stopped_; }
  void Stop() {
    if (stopped_) return;
    stopped_ = true;
    event_.NotifyAll();
    for (auto& [number, function] : watches_) function();
  }
  Event& event() { return event_; }

  // Calls a function when the signal stops, until the watch is destroyed. The signal must outlive it. The function may
  // resume coroutines, but must neither begin nor end a watch.
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
