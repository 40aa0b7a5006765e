// The fair queue in front of the targets: it decides which call gets a slot that is free. Calls of the highest priority
// that could go to the target come first. Among these the runs take turns, so that a large run can't starve a small
// one. Within a run the oldest call comes first, also if attempts of it have failed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/llm/target.h"
#include "server/storage/store.h"

namespace millrace {

// A call that waits for a slot. Owned by the waiting coroutine; it must Leave before it is destroyed.
struct Ticket {
  std::string run;
  int64_t priority = 0;
  uint64_t age = 0;              // from Queue::NextAge: smaller is older
  std::vector<Target*> targets;  // targets that it may go to now, in order of preference
  std::function<void()> wake;    // resumes the waiting coroutine: a slot was granted, or a target is held off
  Target* granted = nullptr;     // the ticket has a slot of this target
};

class Queue {
 public:
  Queue(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  uint64_t NextAge() { return ages_++; }

  // Grants the ticket a slot at once, or lets it wait for one.
  void Enter(Ticket& ticket);
  // Ends the wait. A slot that was granted stays the ticket's.
  void Leave(Ticket& ticket);
  // Returns a slot, and grants it to the next ticket.
  void Release(Target& target);
  // Grants no slot of the target before `until`, because its provider sent Retry-After: a runner calls this after a
  // failure that has one. Wakes the tickets that wait for the target, because they may have another one to go to. An
  // attempt that has its slot already is sent all the same.
  void HoldOff(Target& target, TimePoint until);
  // Grants nothing from now on.
  void Close() { closed_ = true; }
  bool closed() const { return closed_; }

  int64_t waiting() const { return waiting_; }

 private:
  // Calls of one priority that wait for one target.
  struct Turns {
    std::map<std::string, std::map<uint64_t, Ticket*>> by_run;  // by age
    std::string last_run;                                       // the run that had the newest turn
  };
  using Line = std::map<int64_t, Turns, std::greater<>>;

  void Dispatch(Target& target);
  void DispatchAll();
  bool MayStart();
  Task<void> WatchStore(StoreState from);
  void Remove(Ticket& ticket, Target& target);

  Loop& loop_;
  Store& store_;
  std::map<Target*, Line> lines_;          // only looked up by target, never walked: `order_` is repeatable
  std::map<Target*, Loop::Timer> timers_;  // that fire when the Retry-After of a target ends
  std::vector<Target*> order_;             // targets in the order in which they were first waited for
  uint64_t ages_ = 0;
  int64_t waiting_ = 0;
  bool closed_ = false;
  bool watching_store_ = false;
};

}  // namespace millrace
