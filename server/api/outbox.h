// The thread that serializes and sends answers. gRPC does both inside Finish and StartWrite, on the thread that calls
// them, which must not be the engine's.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"

namespace millrace::api {

// Runs functions in the order of Put. Any thread. The destructor runs those that are left.
class Outbox {
 public:
  Outbox() : thread_([this] { Run(); }) {}
  ~Outbox() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    filled_.notify_one();
    thread_.join();
  }
  Outbox(const Outbox&) = delete;

  void Put(absl::AnyInvocable<void()> function) {
    {
      const std::lock_guard lock(mutex_);
      functions_.push_back(std::move(function));
    }
    filled_.notify_one();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      filled_.wait(lock, [this] { return stopped_ || !functions_.empty(); });
      if (functions_.empty()) return;
      std::deque<absl::AnyInvocable<void()>> taken = std::move(functions_);
      functions_.clear();
      lock.unlock();
      for (absl::AnyInvocable<void()>& function : taken) function();
      taken.clear();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<absl::AnyInvocable<void()>> functions_;  // guarded by mutex_
  bool stopped_ = false;                              // guarded by mutex_
  std::thread thread_;
};

}  // namespace millrace::api
