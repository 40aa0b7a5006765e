#include "server/llm/queue.h"

#include <algorithm>

namespace millrace {

void Queue::Enter(Ticket& ticket) {
  ++waiting_;
  ticket.granted = nullptr;
  for (const TicketTarget& at : ticket.targets) {
    at.target->AddWaiting(1);
    Add(LineOf(*at.target), ticket, at);
  }
  for (const TicketTarget& at : ticket.skipped) {
    WakeSkippers(*at.target);  // that those before it know what this one knows
    Skippers& skippers = skippers_[at.target];
    Add(skippers.line, ticket, at);
    skippers.until = at.target->UnavailableUntil(loop_.Now());
  }
  for (const TicketTarget& at : std::vector<TicketTarget>(ticket.targets)) {
    if (ticket.granted == nullptr) Dispatch(*at.target);
  }
}

void Queue::Leave(Ticket& ticket) {
  if (ticket.targets.empty()) return;
  --waiting_;
  for (const TicketTarget& at : ticket.targets) {
    at.target->AddWaiting(-1);
    Remove(LineOf(*at.target), ticket, at);
  }
  for (const TicketTarget& at : ticket.skipped) {
    const auto skippers = skippers_.find(at.target);
    Remove(skippers->second.line, ticket, at);
    if (skippers->second.line.empty()) skippers_.erase(skippers);
  }
  ticket.targets.clear();
  ticket.skipped.clear();
}

Queue::Line& Queue::LineOf(Target& target) {
  const auto [line, is_new] = lines_.try_emplace(&target);
  if (is_new) order_.push_back(&target);
  return line->second;
}

void Queue::Add(Line& line, Ticket& ticket, const TicketTarget& at) {
  Turns& turns = line[{ticket.priority, at.is_retry}];
  turns.by_run[ticket.run].emplace(ticket.age, &ticket);
  ++turns.calls;
}

void Queue::Remove(Line& line, const Ticket& ticket, const TicketTarget& at) {
  const auto turns = line.find({ticket.priority, at.is_retry});
  const auto run = turns->second.by_run.find(ticket.run);
  run->second.erase(ticket.age);
  --turns->second.calls;
  if (run->second.empty()) turns->second.by_run.erase(run);
  if (turns->second.by_run.empty()) line.erase(turns);
}

void Queue::Free(Target& target, const Admitted& attempt) {
  target.Free(attempt, loop_.Now());
  Dispatch(target);
}

void Queue::End(Target& target, const Admitted& attempt, const AttemptEnd& end) {
  if (target.End(attempt, end, loop_.Now())) {
    NoteChange(target);
  } else {
    Dispatch(target);
  }
}

void Queue::NoteChange(Target& target) {
  const TimePoint now = loop_.Now();
  if (target.UnavailableUntil(now) > now) Wake(LineOf(target));
  Dispatch(target);
}

void Queue::Heard(Target& target) {
  const TimePoint now = loop_.Now();
  const bool was_suspected = target.IsSuspected(now);
  target.Heard(now);
  if (was_suspected) NoteChange(target);
}

void Queue::WakeSkippers(Target& target) {
  const auto skippers = skippers_.find(&target);
  if (skippers == skippers_.end()) return;
  const TimePoint until = target.UnavailableUntil(loop_.Now());
  if (until < skippers->second.until) Wake(skippers->second.line);
  skippers->second.until = until;
}

void Queue::Wake(Line& line) {
  for (auto& [group, turns] : line) {
    for (auto& [run, tickets] : turns.by_run) {
      for (auto& [age, ticket] : tickets) ticket->wake();
    }
  }
}

int64_t Queue::Turns::TurnOf(const std::string& run) const {
  auto next = by_run.upper_bound(last_run);
  for (int64_t turn = 1;; ++turn, ++next) {
    if (next == by_run.end()) next = by_run.begin();
    if (next->first == run) return turn;
  }
}

Queue::Wait Queue::FindWait(const std::string& run) const {
  Wait longest;
  for (Target* const target : order_) {
    int64_t before = 0;  // calls of classes that come first
    for (const auto& [group, turns] : lines_.at(target)) {
      if (const auto own = turns.by_run.find(run); own != turns.by_run.end()) {
        const Ticket& ticket = *own->second.begin()->second;
        const int64_t place = before + turns.TurnOf(run);
        const bool is_longer = longest.target == nullptr || ticket.since < longest.since;
        if (is_longer || (ticket.since == longest.since && place < longest.place)) {
          longest = {.target = target,
                     .since = ticket.since,
                     .estimate = {.tokens = ticket.tokens, .is_retry = group.is_retry},
                     .place = place};
        }
      }
      before += turns.calls;
    }
  }
  return longest;
}

void Queue::Reconsider(Target& target) {
  target.Reconsider(loop_.Now());
  Dispatch(target);
}

bool Queue::MayStart() {
  if (closed_) return false;
  const StoreState state = store_.state();
  if (state == StoreState::kOk) return true;
  if (!watching_store_) {
    watching_store_ = true;
    loop_.Spawn(WatchStore(state));
  }
  return false;
}

Task<void> Queue::WatchStore(StoreState from) {
  co_await store_.WaitForChange(from);
  watching_store_ = false;
  DispatchAll();
}

void Queue::DispatchAll() {
  for (size_t i = 0; i < order_.size(); ++i) Dispatch(*order_[i]);
}

void Queue::Dispatch(Target& target) {
  Grant(target);
  WakeSkippers(target);
}

void Queue::Grant(Target& target) {
  Line& line = LineOf(target);
  const TimePoint now = loop_.Now();
  TimePoint next = kNever;
  for (auto group = line.begin(); group != line.end() && MayStart();) {
    Turns& turns = group->second;
    auto run = turns.by_run.upper_bound(turns.last_run);
    if (run == turns.by_run.end()) run = turns.by_run.begin();
    Ticket& ticket = *run->second.begin()->second;
    const Estimate estimate{.tokens = ticket.tokens, .is_retry = group->first.is_retry};
    if (const TimePoint at = target.NotBefore(estimate, now); at > now) {
      next = std::min(next, at);
      // First attempts may pass retries, and nobody else passes.
      if (!group->first.is_retry) break;
      ++group;
      continue;
    }
    turns.last_run = run->first;
    ticket.admitted = target.Begin(estimate, now);
    Leave(ticket);  // may end the group
    ticket.granted = &target;
    ticket.wake();
    group = line.begin();
  }
  if (line.empty()) return;
  if (target.CheckSilence(now)) Wake(line);
  next = std::min(next, target.SuspectedFrom());
  if (next != kNever) DispatchAt(target, next);
}

void Queue::DispatchAt(Target& target, TimePoint time) {
  Alarm& alarm = alarms_[&target];
  if (alarm.time <= time) return;
  alarm.time = time;
  alarm.timer = loop_.CallAt(time, [this, &target, &alarm] {
    alarm.time = kNever;
    Dispatch(target);
  });
}

}  // namespace millrace
