#include "server/llm/claims.h"

#include <algorithm>

namespace millrace {
KeyClaims::KeyClaims(Loop& loop) : loop_(loop), returned_(std::make_shared<Returned>(loop, this)) {}

KeyClaims::~KeyClaims() { returned_->claims = nullptr; }

KeyClaims::Claim::~Claim() {
  const std::shared_ptr<Returned> returned = returned_.lock();
  if (!returned || keys_.empty()) return;
  // Settlements are committed in groups and destroyed many at a time: one function of the loop takes all their keys.
  bool is_first;
  {
    const std::lock_guard lock(returned->mutex);
    is_first = returned->keys.empty();
    returned->keys.insert(returned->keys.end(), keys_.begin(), keys_.end());
  }
  if (!is_first) return;
  returned->loop.Post([returned_to = returned_] {
    const std::shared_ptr<Returned> there = returned_to.lock();
    if (!there) return;
    std::vector<Digest> keys;
    {
      const std::lock_guard lock(there->mutex);
      keys.swap(there->keys);
    }
    if (there->claims != nullptr) there->claims->Release(keys);
  });
}

bool KeyClaims::Claim::Has(const Digest& key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

bool KeyClaims::HaveAnyOf(const std::vector<Digest>& keys) const {
  return std::any_of(keys.begin(), keys.end(), [this](const Digest& key) { return taken_.contains(key); });
}

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
  co_return std::make_shared<const Claim>(returned_, std::move(keys));
}

void KeyClaims::Release(const std::vector<Digest>& keys) {
  for (const Digest& key : keys) {
    const auto node = taken_.extract(key);
    if (!node.empty() && node.mapped()) node.mapped()->NotifyAll();
  }
}

}  // namespace millrace
