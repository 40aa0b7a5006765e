// The fair queue in front of the targets: who is next when a slot is free. Of the calls that could go to a target those
// of the highest priority come first; among these the runs take turns, so that a large run can't starve a small one;
// within a run the oldest call comes first, also where it has been tried before.
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

// A call that waits for a slot. Owned by whoever waits; it must Leave before it is destroyed.
struct Ticket {
  std::string run;
  int64_t priority = 0;
  uint64_t age = 0;              // from Queue::NextAge: smaller is older
  std::vector<Target*> targets;  // where it may go now, in order of preference
  std::function<void()> wake;    // lets the waiting coroutine go on: granted, or a target went quiet
  Target* granted = nullptr;     // it holds a slot of this target
};

class Queue {
 public:
  Queue(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  uint64_t NextAge() { return ages_++; }

  // Waits with this ticket, or grants it at once.
  void Enter(Ticket& ticket);
  // Waits no more. A slot that was granted stays the ticket's.
  void Leave(Ticket& ticket);
  // Gives a slot back.
  void Release(Target& target);
  // The provider wants quiet: nothing goes to the target before `until`.
  void Quiet(Target& target, TimePoint until);
  // Grants nothing from now on.
  void Close() { closed_ = true; }
  bool closed() const { return closed_; }

  int64_t waiting() const { return waiting_; }

 private:
  // Calls of one priority that wait for one target.
  struct Turns {
    std::map<std::string, std::map<uint64_t, Ticket*>> by_run;  // by age
    std::string last_run;                                       // that had its turn
  };
  using Line = std::map<int64_t, Turns, std::greater<>>;

  void Dispatch(Target& target);
  void DispatchAll();
  bool MayStart();
  Task<void> WatchStore(StoreState from);
  void Remove(Ticket& ticket, Target& target);

  Loop& loop_;
  Store& store_;
  std::map<Target*, Line> lines_;  // only looked up by target, and walked in `order_`
  std::vector<Target*> order_;     // targets in the order in which they were first waited for
  uint64_t ages_ = 0;
  int64_t waiting_ = 0;
  bool closed_ = false;
  bool watching_store_ = false;
};

}  // namespace millrace
