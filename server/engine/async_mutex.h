// A mutex for coroutines of one loop: those that must not be in a section at the same time enter it one after another,
// in the order in which they asked.
#pragma once

#include <cstdint>
#include <utility>

#include "server/base/loop.h"

namespace millrace {

class AsyncMutex {
 public:
  explicit AsyncMutex(Loop& loop) : left_(loop) {}
  AsyncMutex(const AsyncMutex&) = delete;

  // Holds the mutex until it is destroyed. The mutex must outlive it.
  class Holder {
   public:
    explicit Holder(AsyncMutex& mutex) : mutex_(&mutex) {}
    Holder(Holder&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (mutex_ != nullptr) mutex_->Leave();
    }

   private:
    AsyncMutex* mutex_;
  };

  // Resumes when every earlier holder has left.
  Task<Holder> Enter() {
    const uint64_t ticket = next_ticket_++;
    while (ticket != served_) co_await left_.Wait();
    co_return Holder(*this);
  }

 private:
  void Leave() {
    ++served_;
    left_.NotifyAll();
  }

  Event left_;
  uint64_t next_ticket_ = 0;
  uint64_t served_ = 0;
};

}  // namespace millrace
