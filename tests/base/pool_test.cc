#include "server/base/pool.h"
#include "server/base/run_if_long.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

namespace millrace {
namespace {

// Sets a promise in its destructor.
struct AtItsEnd {
  std::promise<void>* promise;
  explicit AtItsEnd(std::promise<void>& kept) : promise(&kept) {}
  AtItsEnd(AtItsEnd&& other) noexcept : promise(std::exchange(other.promise, nullptr)) {}
  ~AtItsEnd() {
    if (promise != nullptr) promise->set_value();
  }
};

TEST(PoolTest, TheDestructorWaitsForWorkThatHasBegunAndDropsTheRest) {
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

TEST(PoolTest, AnExceptionBecomesAnErrorIfTheResultCanBeOne) {
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 1);
  Status status;
  StatusOr<int> number = 1;
  const auto compute = [](Loop& loop, Pool& pool, Status& status, StatusOr<int>& number) -> Task<void> {
    auto fail = []() -> Status { throw std::out_of_range("no such place"); };
    status = co_await Compute(loop, pool, std::move(fail));
    auto fail_too = []() -> StatusOr<int> { throw std::out_of_range("nor this"); };
    number = co_await Compute(loop, pool, std::move(fail_too));
    loop.Stop();
  };
  loop.Spawn(compute(loop, *pool, status, number));
  loop.Run();
  EXPECT_EQ(status, Status(absl::StatusCode::kInternal, "no such place"));
  EXPECT_EQ(number.status(), Status(absl::StatusCode::kInternal, "nor this"));
}

TEST(PoolTest, RunsShortWorkOnTheLoopAndLongWorkElsewhere) {
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 1);
  std::thread::id loops;
  std::thread::id of_short;
  std::thread::id of_long;
  const auto run = [](Loop& loop, Pool& pool, std::thread::id& loops, std::thread::id& of_short,
                      std::thread::id& of_long) -> Task<void> {
    loops = std::this_thread::get_id();
    auto ask = [] { return std::this_thread::get_id(); };
    of_short = co_await RunIfLong(loop, pool, kInlineBytesMax, ask);
    of_long = co_await RunIfLong(loop, pool, kInlineBytesMax + 1, ask);
    loop.Stop();
  };
  loop.Spawn(run(loop, *pool, loops, of_short, of_long));
  loop.Run();
  EXPECT_EQ(of_short, loops);
  EXPECT_NE(of_long, loops);
}

}  // namespace
}  // namespace millrace
