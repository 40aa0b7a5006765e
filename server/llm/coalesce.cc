#include "server/llm/coalesce.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr size_t kItemIdsMax = 100;

}  // namespace

int64_t SharedCall::Priority() const {
  int64_t priority = waiters.empty() ? 0 : waiters.front()->context.priority;
  for (const CallWaiter* waiter : waiters) priority = std::max(priority, waiter->context.priority);
  return priority;
}

std::vector<std::string> SharedCall::ItemIds() const {
  std::vector<std::string> ids;
  for (const CallWaiter* waiter : waiters) {
    for (const std::string& id : waiter->context.item_ids) {
      if (ids.size() >= kItemIdsMax) return ids;
      ids.push_back(id);
    }
  }
  return ids;
}

std::shared_ptr<SharedCall> CallTable::Find(const Digest& key) const {
  const auto found = calls_.find(key);
  return found == calls_.end() ? nullptr : found->second;
}

void CallTable::Add(std::shared_ptr<SharedCall> call) { calls_.emplace(call->key, std::move(call)); }

void CallTable::Remove(const Digest& key) { calls_.erase(key); }

void CallTable::WakeAll() {
  for (const auto& [key, call] : calls_) call->changed.NotifyAll();
}

Task<void> KeyClaims::Claim(const std::vector<Digest>& keys) {
  const auto is_taken = [this](const Digest& key) { return taken_.contains(key); };
  while (std::any_of(keys.begin(), keys.end(), is_taken)) co_await released_.Wait();
  for (const Digest& key : keys) taken_.insert(key);
}

void KeyClaims::Release(const std::vector<Digest>& keys) {
  for (const Digest& key : keys) taken_.erase(key);
  released_.NotifyAll();
}

}  // namespace millrace
