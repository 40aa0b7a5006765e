#include "server/base/pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "server/base/thread.h"

namespace millrace {
namespace {

class ThreadPool final : public Pool {
 public:
  ThreadPool(Loop& loop, int threads) : loop_(loop) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Serve(); });
  }

  ~ThreadPool() override {
    std::deque<Job> dropped;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      dropped.swap(jobs_);
    }
    dropped.clear();
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({std::move(work), std::move(done)});
    }
    ready_.notify_one();
  }

 private:
  struct Job {
    absl::AnyInvocable<void()> work;
    absl::AnyInvocable<void()> done;
  };

  void Serve() {
    NameThread("pool");
    while (true) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job.work();
      job.work = nullptr;  // frees its captures here, off the loop
      loop_.Post(std::move(job.done));
    }
  }

  Loop& loop_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;  // guarded by mutex_
  bool closed_ = false;   // guarded by mutex_
  std::vector<std::thread> threads_;
};

class InlinePool final : public Pool {
 public:
  InlinePool(Loop& loop, Duration cost) : loop_(loop), cost_(cost) {}

  void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override {
    work();
    loop_.Spawn(Finish(std::move(done)));
  }

 private:
  Task<void> Finish(absl::AnyInvocable<void()> done) {
    co_await loop_.Sleep(cost_);
    done();
  }

  Loop& loop_;
  const Duration cost_;
};

}  // namespace

std::unique_ptr<Pool> MakeThreadPool(Loop& loop, int threads) { return std::make_unique<ThreadPool>(loop, threads); }

std::unique_ptr<Pool> MakeInlinePool(Loop& loop, Duration cost) { return std::make_unique<InlinePool>(loop, cost); }

}  // namespace millrace
