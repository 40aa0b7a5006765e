// Objects that are made of bytes and do not change, such as a table of a definition file: equal bytes give one object,
// however many runs use it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "server/base/digest.h"
#include "server/base/status.h"

namespace millrace {

// Keeps objects only as long as somebody uses them. Any thread.
class SharedObjects {
 public:
  // Returns the object of this key; makes it by `make`, which returns a StatusOr<T>, if nobody has it. REQUIRES: `key`
  // is the digest of everything that the object is made of, and of its type.
  template <typename T, typename Make>
  StatusOr<std::shared_ptr<const T>> Get(const Digest& key, Make make) {
    if (std::shared_ptr<const void> found = Find(key)) return std::static_pointer_cast<const T>(std::move(found));
    // Without the lock: another thread may make it, too; then one of the two is dropped.
    MR_ASSIGN_OR_RETURN(T made, make());
    return std::static_pointer_cast<const T>(Add(key, std::make_shared<const T>(std::move(made))));
  }

 private:
  std::shared_ptr<const void> Find(const Digest& key) {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    return found == objects_.end() ? nullptr : found->second.lock();
  }

  std::shared_ptr<const void> Add(const Digest& key, std::shared_ptr<const void> made) {
    const std::lock_guard lock(mutex_);
    std::erase_if(objects_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<const void>& kept = objects_[key];
    if (std::shared_ptr<const void> other = kept.lock()) return other;
    kept = made;
    return made;
  }

  std::mutex mutex_;
  std::map<Digest, std::weak_ptr<const void>> objects_;  // guarded by mutex_
};

}  // namespace millrace
