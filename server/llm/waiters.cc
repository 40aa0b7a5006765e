#include "server/llm/waiters.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr size_t kItemIdsMax = 100;

}  // namespace

int64_t Waiters::Priority() const {
  if (list_.empty()) return 0;
  int64_t priority = list_.front()->context.priority;
  for (const CallWaiter* waiter : list_) priority = std::max(priority, waiter->context.priority);
  return priority;
}

std::vector<std::string> Waiters::ItemIds() const {
  std::vector<std::string> ids;
  for (const CallWaiter* waiter : list_) {
    for (const std::string& id : waiter->context.item_ids) {
      if (ids.size() >= kItemIdsMax) return ids;
      ids.push_back(id);
    }
  }
  return ids;
}

bool Waiters::HasRun() const {
  return std::any_of(list_.begin(), list_.end(), [](const CallWaiter* waiter) { return !waiter->context.run.empty(); });
}

bool Waiters::HasRun(std::string_view run) const {
  return std::any_of(list_.begin(), list_.end(),
                     [run](const CallWaiter* waiter) { return waiter->context.run == run; });
}

bool Waiters::HasDeltaSink() const {
  return std::any_of(list_.begin(), list_.end(),
                     [](const CallWaiter* waiter) { return waiter->context.deltas != nullptr; });
}

void Waiters::GiveDelta(std::string_view text) const {
  for (const CallWaiter* waiter : list_) {
    if (waiter->context.deltas) waiter->context.deltas->Delta(text);
  }
}

void Waiters::RestartDeltas() const {
  for (const CallWaiter* waiter : list_) {
    if (waiter->context.deltas) waiter->context.deltas->Restarted();
  }
}

void Waiters::WakeAll() {
  for (CallWaiter* waiter : list_) waiter->changed.NotifyAll();
}

}  // namespace millrace
