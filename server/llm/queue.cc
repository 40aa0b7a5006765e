#include "server/llm/queue.h"

#include <algorithm>

namespace millrace {

void Queue::Enter(Ticket& ticket) {
  ++waiting_;
  ticket.granted = nullptr;
  for (Target* target : ticket.targets) {
    target->AddWaiting(1);
    const auto [line, is_new] = lines_.try_emplace(target);
    if (is_new) order_.push_back(target);
    line->second[ticket.priority].by_run[ticket.run].emplace(ticket.age, &ticket);
  }
  for (Target* target : std::vector<Target*>(ticket.targets)) {
    if (ticket.granted == nullptr) Dispatch(*target);
  }
}

void Queue::Leave(Ticket& ticket) {
  if (ticket.targets.empty()) return;
  --waiting_;
  for (Target* target : ticket.targets) Remove(ticket, *target);
  ticket.targets.clear();
}

void Queue::Remove(Ticket& ticket, Target& target) {
  target.AddWaiting(-1);
  Line& line = lines_[&target];
  const auto turns = line.find(ticket.priority);
  const auto run = turns->second.by_run.find(ticket.run);
  run->second.erase(ticket.age);
  if (run->second.empty()) turns->second.by_run.erase(run);
  if (turns->second.by_run.empty()) line.erase(turns);
}

void Queue::Release(Target& target) {
  target.ReturnSlot();
  Dispatch(target);
}

void Queue::HoldOff(Target& target, TimePoint until) {
  if (!target.HoldOff(until)) return;
  timers_[&target] = loop_.CallAt(until, [this, &target] { Dispatch(target); });
  // A call that waits here may have another target to go to.
  for (auto& [priority, turns] : lines_[&target]) {
    for (auto& [run, tickets] : turns.by_run) {
      for (auto& [age, ticket] : tickets) ticket->wake();
    }
  }
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
  Line& line = lines_[&target];
  while (!line.empty() && target.HasSlot() && target.retry_after_until() <= loop_.Now() && MayStart()) {
    Turns& turns = line.begin()->second;
    auto run = turns.by_run.upper_bound(turns.last_run);
    if (run == turns.by_run.end()) run = turns.by_run.begin();
    turns.last_run = run->first;
    Ticket& ticket = *run->second.begin()->second;
    target.TakeSlot();
    Leave(ticket);  // may end the line's first entry
    ticket.granted = &target;
    ticket.wake();
  }
}

}  // namespace millrace
