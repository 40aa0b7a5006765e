// The fair queue in front of the targets: it decides which call gets a slot that is free. Calls of the highest priority
// that could go to the target come first. Among these the runs take turns, so that a large run can't starve a small
// one. Within a run the oldest call comes first, also if attempts of it have failed. Retries come before first
// attempts of the same priority, unless the target's retry budget is used up. Chat and embedding each have a line: if
// both wait, the higher priority comes first, and of equal ones the kind with fewer attempts in flight, so that a burst
// of one can't starve the other.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/llm/target.h"
#include "server/storage/store.h"

namespace millrace {

// A target that a waiting call may go to.
struct TicketTarget {
  Target* target = nullptr;
  bool is_retry = false;  // the call failed there before
};

// A call that waits until a target's limits let an attempt begin. Owned by the waiting coroutine; it must Leave before
// it is destroyed.
struct Ticket {
  std::string run;
  CallKind kind = CallKind::kChat;
  int64_t priority = 0;
  uint64_t age = 0;                   // from Queue::NextAge: smaller is older
  TimePoint since{};                  // when it began to wait
  int64_t tokens = 0;                 // estimate of its prompt and longest answer
  std::vector<TicketTarget> targets;  // in order of preference
  std::vector<TicketTarget> skipped;  // unavailable targets to which the call would rather go
  std::function<void()> wake;         // resumes the waiting coroutine: granted, or it may go to other targets now
  Target* granted = nullptr;          // an attempt has begun at this target
  Admitted admitted;                  // that attempt
};

class Queue {
 public:
  Queue(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  uint64_t NextAge() { return ages_++; }

  // Grants the ticket a slot at once, or lets it wait for one.
  void Enter(Ticket& ticket);
  // Ends the wait. A slot that was granted stays the ticket's.
  void Leave(Ticket& ticket);
  // The provider does not work on the attempt any more: its slot goes to the next ticket.
  void Free(Target& target, const Admitted& attempt);
  // The outcome of the attempt is known. REQUIRES: it was freed. If the target becomes unavailable (its provider asked
  // for a pause, its breaker opened), the tickets that could go elsewhere are woken.
  void End(Target& target, const Admitted& attempt, const AttemptEnd& end);
  // A human says that the target was repaired.
  void Reconsider(Target& target);
  // The target has become available, or unavailable: grants what it allows now, and wakes the tickets that could go
  // elsewhere, and those that skipped it.
  void NoteChange(Target& target);
  // Bytes of a response have come from the target. Cheap, unless it seemed to hang.
  void Heard(Target& target);
  // Grants nothing from now on.
  void Close() { closed_ = true; }
  bool closed() const { return closed_; }

  int64_t waiting() const { return waiting_; }

  // The call of a run that has waited longest.
  struct Wait {
    const Target* target = nullptr;  // null: no call of the run waits
    TimePoint since{};
    Estimate estimate;
    // Grants of this target to calls of its kind until its own, as things stand: 1 is the next. Calls that come later
    // may pass it (a higher priority, the first call of another run), and calls before it may go elsewhere.
    int64_t place = 0;
  };
  // If the call may go to several targets, the wait is at the one where its place is best. Cost: the number of targets
  // and of runs that wait.
  Wait FindWait(const std::string& run) const;

 private:
  // Calls of one class that wait for one target.
  struct Turns {
    std::map<std::string, std::map<uint64_t, Ticket*>> by_run;  // by age
    std::string last_run;                                       // the run that had the newest turn
    int64_t calls = 0;                                          // of all runs
    // Returns the number of turns until the run has had one. REQUIRES: a call of it waits.
    int64_t TurnOf(const std::string& run) const;
    // Returns the call whose turn it is. REQUIRES: one waits.
    Ticket& Next() const;
  };
  // Kinds apart, higher priorities come first; within one, retries come before first attempts, which pass them while
  // the target's retry budget is used up.
  struct Class {
    CallKind kind = CallKind::kChat;
    int64_t priority = 0;
    bool is_retry = false;
    auto operator<=>(const Class&) const = default;
  };
  using Line = std::map<Class, Turns, std::greater<>>;
  // The calls that skipped a target because it was unavailable. They wait in the lines of other targets, which may be
  // far slower.
  struct Skippers {
    Line line;
    TimePoint until = kNever;  // when the target was to be available, as the calls know it
  };

  // Returns the line of the target, which is then among `order_`.
  Line& LineOf(Target& target);
  static void Add(Line& line, Ticket& ticket, const TicketTarget& at);
  static void Remove(Line& line, const Ticket& ticket, const TicketTarget& at);
  static void Wake(Line& line);
  // The first calls of one kind that wait for a target.
  struct Head {
    CallKind kind = CallKind::kChat;
    bool waits = false;
    int64_t priority = 0;      // of the first
    Ticket* ready = nullptr;   // the first that may begin now; null: none
    Estimate estimate;         // its
    TimePoint next = kNever;   // when limits may let one of those before it begin
    bool holds_other = false;  // the first waits for a limit that both kinds share: the other kind must not pass
  };
  static Head HeadOf(const Target& target, const Line& line, CallKind kind, TimePoint now);
  void Dispatch(Target& target);
  // Grants what the target allows now.
  void Grant(Target& target);
  void DispatchAll();
  bool MayStart();
  Task<void> WatchStore(StoreState from);
  // Wakes the calls that skipped the target, if it is available, or will be earlier than they know.
  void WakeSkippers(Target& target);
  // Dispatches at `time` again.
  void DispatchAt(Target& target, TimePoint time);

  Loop& loop_;
  Store& store_;
  std::map<Target*, Line> lines_;         // only looked up by target, never walked: `order_` is repeatable
  std::map<Target*, Skippers> skippers_;  // only looked up; has no empty lines
  struct Alarm {
    TimePoint time = kNever;
    Loop::Timer timer;
  };
  std::map<Target*, Alarm> alarms_;  // when a target's limits let the next attempt begin
  std::vector<Target*> order_;       // targets with a line, in the order in which they got it
  uint64_t ages_ = 0;
  int64_t waiting_ = 0;
  bool closed_ = false;
  bool watching_store_ = false;
};

}  // namespace millrace
