// Taking turns: coroutines that must not be in a section at the same time enter it one after another, in the order in
// which they came.
#pragma once

#include "server/base/loop.h"

namespace millrace {

class AsyncMutex {
 public:
  explicit AsyncMutex(Loop& loop) : left_(loop) {}
  AsyncMutex(const AsyncMutex&) = delete;

  // Whose turn it is, until it is destroyed.
  class Holder {
   public:
    explicit Holder(AsyncMutex& turn) : turn_(&turn) {}
    Holder(Holder&& other) noexcept : turn_(std::exchange(other.turn_, nullptr)) {}
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (turn_ != nullptr) turn_->Leave();
    }

   private:
    AsyncMutex* turn_;
  };

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
