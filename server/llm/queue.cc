#include "server/llm/queue.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

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
  Turns& turns = line[{ticket.kind, ticket.priority, at.is_retry}];
  turns.by_run[ticket.run].emplace(ticket.age, &ticket);
  ++turns.calls;
}

void Queue::Remove(Line& line, const Ticket& ticket, const TicketTarget& at) {
  const auto turns = line.find({ticket.kind, ticket.priority, at.is_retry});
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

Ticket& Queue::Turns::Next() const {
  auto run = by_run.upper_bound(last_run);
  if (run == by_run.end()) run = by_run.begin();
  return *run->second.begin()->second;
}

Queue::Wait Queue::FindWait(const std::string& run) const {
  Wait longest;
  for (Target* const target : order_) {
    std::array<int64_t, kCallKinds> before{};  // calls of classes of the kind that come first
    for (const auto& [group, turns] : lines_.at(target)) {
      if (const auto own = turns.by_run.find(run); own != turns.by_run.end()) {
        const Ticket& ticket = *own->second.begin()->second;
        const int64_t place = before[IndexOf(group.kind)] + turns.TurnOf(run);
        const bool is_longer = longest.target == nullptr || ticket.since < longest.since;
        if (is_longer || (ticket.since == longest.since && place < longest.place)) {
          longest = {.target = target,
                     .since = ticket.since,
                     .estimate = {.tokens = ticket.tokens, .is_retry = group.is_retry, .kind = group.kind},
                     .place = place};
        }
      }
      before[IndexOf(group.kind)] += turns.calls;
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

Queue::Head Queue::HeadOf(const Target& target, const Line& line, CallKind kind, TimePoint now) {
  Head head{.kind = kind, .estimate = {}};
  for (const auto& [group, turns] : line) {
    if (group.kind != kind) continue;
    if (!std::exchange(head.waits, true)) head.priority = group.priority;
    Ticket& ticket = turns.Next();
    const Estimate estimate{.tokens = ticket.tokens, .is_retry = group.is_retry, .kind = kind};
    const TimePoint at = target.NotBefore(estimate, now);
    if (at <= now) {
      head.ready = &ticket;
      head.estimate = estimate;
      return head;
    }
    head.next = std::min(head.next, at);
    // First attempts may pass retries, and nobody else of the kind passes. The other kind passes one that has all its
    // slots, and nothing else: small calls must not take the tokens that a large one waits for.
    if (!group.is_retry) {
      head.holds_other = !target.IsFullOf(kind);
      break;
    }
  }
  return head;
}

void Queue::Grant(Target& target) {
  Line& line = LineOf(target);
  const TimePoint now = loop_.Now();
  TimePoint next = kNever;
  while (!line.empty() && MayStart()) {
    Head first = HeadOf(target, line, CallKind::kChat, now);
    Head second = HeadOf(target, line, CallKind::kEmbed, now);
    const auto rank = [&target](const Head& head) {
      return std::tuple(head.waits, head.priority, -target.in_flight(head.kind));
    };
    if (rank(second) > rank(first)) std::swap(first, second);
    next = std::min({next, first.next, second.next});
    const Head& chosen = first.ready != nullptr || first.holds_other ? first : second;
    if (chosen.ready == nullptr) break;
    Ticket& ticket = *chosen.ready;
    const Class group{ticket.kind, ticket.priority, chosen.estimate.is_retry};
    line.find(group)->second.last_run = ticket.run;
    ticket.admitted = target.Begin(chosen.estimate, now);
    Leave(ticket);  // may end the group
    ticket.granted = &target;
    ticket.wake();
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
