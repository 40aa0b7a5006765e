// Waiters of one call in flight: the callers that still wait. The first one pays for the call; if it leaves, the next
// one takes over the costs so far.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/loop.h"
#include "server/llm/call.h"

namespace millrace {

// One caller that waits.
struct CallWaiter {
  CallWaiter(Loop& loop, const CallContext& its_context) : context(its_context), changed(loop) {}

  const CallContext& context;
  Event changed;  // the call has ended or fails, or the waiter is to stop
};

class Waiters {
 public:
  // A waiter's place in the list, from the constructor to the destructor.
  class Place {
   public:
    Place(Waiters& waiters, CallWaiter& waiter) : waiters_(waiters), waiter_(waiter) {
      waiters_.list_.push_back(&waiter_);
    }
    Place(const Place&) = delete;
    ~Place() { waiters_.list_.remove(&waiter_); }

   private:
    Waiters& waiters_;
    CallWaiter& waiter_;
  };

  bool empty() const { return list_.empty(); }
  // The waiter that pays now. REQUIRES: !empty().
  CallWaiter& payer() const { return *list_.front(); }
  // The highest priority of all; 0 if nobody waits.
  int64_t Priority() const;
  // Ids of the items that wait, the first 100.
  std::vector<std::string> ItemIds() const;
  // Returns whether any run waits, or one of this name.
  bool HasRun() const;
  bool HasRun(std::string_view run) const;
  void WakeAll();

  // The waiters that want the text while it is made.
  bool HasDeltaSink() const;
  void GiveDelta(std::string_view text) const;
  void RestartDeltas() const;

 private:
  std::list<CallWaiter*> list_;  // in the order in which they came
};

}  // namespace millrace
