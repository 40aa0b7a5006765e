// Mutexes by name: coroutines that work on the same thing (a run, a request id) enter one after another; those that
// work on different things do not wait for each other.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "server/base/loop.h"
#include "server/engine/async_mutex.h"

namespace millrace {

// Engine thread. A name that nobody holds or waits for takes no memory.
class NamedMutex {
  struct Entry {
    explicit Entry(Loop& loop) : mutex(loop) {}
    AsyncMutex mutex;
    int users = 0;  // holders and waiters
  };
  using Entries = std::map<std::string, Entry>;

  // One holder or waiter of an entry.
  class Use {
   public:
    Use(NamedMutex& owner, const std::string& name)
        : entries_(&owner.entries_), entry_(entries_->try_emplace(name, owner.loop_).first) {
      ++entry_->second.users;
    }
    Use(Use&& other) noexcept : entries_(std::exchange(other.entries_, nullptr)), entry_(other.entry_) {}
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (entries_ != nullptr && --entry_->second.users == 0) entries_->erase(entry_);
    }
    AsyncMutex& mutex() const { return entry_->second.mutex; }

   private:
    Entries* entries_;
    Entries::iterator entry_;
  };

 public:
  explicit NamedMutex(Loop& loop) : loop_(loop) {}
  NamedMutex(const NamedMutex&) = delete;

  // Holds the mutex of a name until it is destroyed. The NamedMutex must outlive it.
  class Holder {
   public:
    Holder(Use use, AsyncMutex::Holder held) : use_(std::move(use)), held_(std::move(held)) {}
    Holder(Holder&&) noexcept = default;
    Holder& operator=(Holder&&) = delete;

   private:
    Use use_;
    AsyncMutex::Holder held_;  // destroyed before `use_` may erase the mutex
  };

  // Resumes when every earlier holder of the name has left.
  Task<Holder> Enter(std::string name) {
    Use use(*this, name);
    AsyncMutex::Holder held = co_await use.mutex().Enter();
    co_return Holder(std::move(use), std::move(held));
  }

 private:
  Loop& loop_;
  Entries entries_;
};

}  // namespace millrace
