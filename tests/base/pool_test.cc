#include "server/base/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <utility>

namespace millrace {
namespace {

// Keeps its promise when it goes.
struct AtItsEnd {
  std::promise<void>* promise;
  explicit AtItsEnd(std::promise<void>& kept) : promise(&kept) {}
  AtItsEnd(AtItsEnd&& other) noexcept : promise(std::exchange(other.promise, nullptr)) {}
  ~AtItsEnd() {
    if (promise != nullptr) promise->set_value();
  }
};

TEST(PoolTest, ItsEndWaitsForWhatHasBegunAndDropsTheRest) {
  SystemClock clock;
  Loop loop(clock);
  std::promise<void> begun;
  std::promise<void> dropped;
  std::atomic<bool> saw_the_drop = false;
  std::atomic<int> others = 0;
  {
    const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 1);
    auto first = [&] {
      begun.set_value();
      saw_the_drop = dropped.get_future().wait_for(std::chrono::seconds(20)) == std::future_status::ready;
    };
    auto second = [&others, end = AtItsEnd(dropped)] { ++others; };
    pool->Submit(std::move(first), [] {});
    pool->Submit(std::move(second), [] {});
    pool->Submit([&others] { ++others; }, [] {});
    begun.get_future().wait();
  }
  EXPECT_TRUE(saw_the_drop);
  EXPECT_EQ(others, 0);
}

}  // namespace
}  // namespace millrace
