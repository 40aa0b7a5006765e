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

KeyClaims::KeyClaims(Loop& loop) : loop_(loop), self_(std::make_shared<Owner>(Owner{loop, this})) {}

KeyClaims::Claim::~Claim() {
  const std::shared_ptr<Owner> owner = owner_.lock();
  if (!owner || keys_.empty()) return;
  // Batches are destroyed by the thread that writes them.
  owner->loop.Post([owner = owner_, keys = keys_] {
    if (const std::shared_ptr<Owner> there = owner.lock()) there->claims->Release(keys);
  });
}

bool KeyClaims::Claim::Has(const Digest& key) const { return std::find(keys_.begin(), keys_.end(), key) != keys_.end(); }

Task<std::shared_ptr<const KeyClaims::Claim>> KeyClaims::Take(std::vector<Digest> keys) {
  const auto is_taken = [this](const Digest& key) { return taken_.contains(key); };
  while (true) {
    const auto taken = std::find_if(keys.begin(), keys.end(), is_taken);
    if (taken == keys.end()) break;
    std::shared_ptr<Event>& released = taken_[*taken];
    if (!released) released = std::make_shared<Event>(loop_);
    const std::shared_ptr<Event> waited = released;
    co_await waited->Wait();
  }
  for (const Digest& key : keys) taken_.emplace(key, nullptr);
  co_return std::make_shared<const Claim>(self_, std::move(keys));
}

void KeyClaims::Release(const std::vector<Digest>& keys) {
  for (const Digest& key : keys) {
    const auto node = taken_.extract(key);
    if (!node.empty() && node.mapped()) node.mapped()->NotifyAll();
  }
}

}  // namespace millrace
