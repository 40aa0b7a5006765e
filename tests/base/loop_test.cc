#include "server/base/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "server/base/pool.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

TEST(LoopTest, JumpsToTheNextSleeperWhenNothingIsReady) {
  SimulatedClock clock;
  Loop loop(clock);
  std::vector<int> order;
  const auto sleeper = [](Loop& loop, std::vector<int>& order, int id, Duration duration) -> Task<void> {
    co_await loop.Sleep(duration);
    order.push_back(id);
  };
  loop.Spawn(sleeper(loop, order, 2, 2s));
  loop.Spawn(sleeper(loop, order, 1, 1s));
  loop.Spawn(sleeper(loop, order, 3, 2s));
  EXPECT_FALSE(loop.RunUntil([] { return false; }));
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(clock.Now(), TimePoint(2s));
}

TEST(LoopTest, AnEventResumesItsWaitersInTheOrderOfTheirArrival) {
  SimulatedClock clock;
  Loop loop(clock);
  Event event(loop);
  std::vector<std::string> log;
  const auto waiter = [](Loop& loop, Event& event, std::vector<std::string>& log, std::string name,
                         Duration limit) -> Task<void> {
    const bool notified = co_await event.WaitUntil(loop.Now() + limit);
    log.push_back(name + (notified ? " woken" : " late"));
  };
  loop.Spawn(waiter(loop, event, log, "a", 5ms));
  loop.Spawn(waiter(loop, event, log, "b", 50ms));
  loop.Spawn(waiter(loop, event, log, "c", 50ms));
  const Loop::Timer timer = loop.CallAt(TimePoint(10ms), [&] { event.NotifyAll(); });
  loop.RunUntil([] { return false; });
  EXPECT_THAT(log, testing::ElementsAre("a late", "b woken", "c woken"));
}

TEST(LoopTest, ReadyCoroutinesRunBeforeDeferredFunctionsAndThoseBeforePostedOnes) {
  SimulatedClock clock;
  Loop loop(clock);
  Event first(loop);
  Event second(loop);
  std::vector<std::string> log;
  const auto waiter = [](Event& event, Event* next, std::vector<std::string>& log, std::string name) -> Task<void> {
    co_await event.Wait();
    log.push_back(name);
    if (next != nullptr) next->NotifyAll();
  };
  loop.Spawn(waiter(first, &second, log, "a"));
  loop.Spawn(waiter(first, nullptr, log, "b"));
  loop.Spawn(waiter(second, nullptr, log, "after a"));
  loop.RunReady();
  loop.Post([&] { log.push_back("posted"); });
  loop.Defer([&] { log.push_back("deferred"); });
  first.NotifyAll();
  loop.RunReady();
  EXPECT_THAT(log, testing::ElementsAre("a", "b", "after a", "deferred", "posted"));
}

TEST(LoopTest, CoroutinesThatAreAlwaysReadyLeaveTurnsToPostedFunctions) {
  SimulatedClock clock;
  Loop loop(clock);
  int posted = 0;
  int turns = 0;
  bool done = false;
  const auto busy = [](Loop& loop, int& turns, const bool& done) -> Task<void> {
    while (!done) {
      ++turns;
      co_await loop.Yield();
    }
  };
  loop.Spawn(busy(loop, turns, done));
  for (int i = 0; i < 100; ++i) loop.Post([&] { ++posted; });
  loop.RunUntil([&] { return posted == 100 || turns > 100'000; });
  EXPECT_EQ(posted, 100);
  EXPECT_LT(turns, 1000);
  done = true;
  loop.RunReady();
}

TEST(LoopTest, PostedFunctionsLeaveTurnsToCoroutines) {
  SystemClock clock;
  Loop loop(clock);
  int turns = 0;
  int posted = 0;
  const auto busy = [](Loop& loop, int& turns) -> Task<void> {
    while (turns < 1000) {
      ++turns;
      co_await loop.Yield();
    }
    loop.Stop();
  };
  std::function<void()> again = [&] {
    ++posted;
    if (turns < 1000) loop.Post(again);
  };
  loop.Post(again);
  loop.Spawn(busy(loop, turns));
  loop.Run();
  EXPECT_EQ(turns, 1000);
  EXPECT_GT(posted, 10);
  const LoopFigures figures = loop.Figures();
  EXPECT_GE(figures.handlers, 1000u);
  EXPECT_GT(figures.handler_cpu_p50.count(), 0);
}

TEST(LoopTest, PostedFunctionsRunBeforeSocketsAndLeaveThemTurns) {
  SimulatedClock clock;
  Loop loop(clock);
  std::string log;
  boost::asio::post(loop.context(), [&] { log += 's'; });  // runs like the handler of a socket
  for (int i = 0; i < 20; ++i) loop.Post([&] { log += 'p'; });
  loop.RunReady();
  EXPECT_EQ(log, std::string(16, 'p') + "s" + std::string(4, 'p'));
}

TEST(LoopTest, OtherThreadsWakeALoopThatWaits) {
  SystemClock clock;
  Loop loop(clock);
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      // Posts one function at a time, each while the loop waits or is about to wait.
      for (int n = 0; n < kEach; ++n) {
        std::promise<void> done;
        loop.Post([&] {
          if (++ran == kThreads * kEach) loop.Stop();
          done.set_value();
        });
        done.get_future().wait();
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, kThreads * kEach);
}

TEST(LoopTest, AFunctionPostedAfterAbandonIsDropped) {
  SimulatedClock clock;
  Loop loop(clock);
  const auto held = std::make_shared<int>();
  loop.Post([held] { ADD_FAILURE() << "run after Abandon"; });
  loop.Abandon();
  EXPECT_EQ(held.use_count(), 1);
  loop.Post([held] { ADD_FAILURE() << "run after Abandon"; });
  EXPECT_EQ(held.use_count(), 1);
}

TEST(LoopTest, AbandonDestroysSuspendedCoroutinesWhileTheLoopStillLives) {
  SimulatedClock clock;
  Loop loop(clock);
  Event event(loop);
  int destroyed = 0;
  struct Guard {
    int& destroyed;
    Event& event;
    ~Guard() {
      ++destroyed;
      event.NotifyAll();  // a destructor may notify other coroutines, which must not run any more
    }
  };
  const auto waiter = [](Event& event, int& destroyed) -> Task<void> {
    const Guard guard{destroyed, event};
    co_await event.Wait();
    ADD_FAILURE() << "resumed after Abandon";
  };
  for (int i = 0; i < 3; ++i) loop.Spawn(waiter(event, destroyed));
  loop.RunReady();
  loop.Abandon();
  EXPECT_EQ(destroyed, 3);
}

TEST(LoopTest, AwaitsWorkOfAThreadPoolInRealTime) {
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 2);
  int64_t sum = 0;
  int left = 100;
  const auto worker = [](Loop& loop, Pool& pool, int64_t& sum, int& left, int i) -> Task<void> {
    auto square = [i] { return int64_t{i} * i; };
    sum += co_await Compute(loop, pool, std::move(square));
    if (--left == 0) loop.Stop();
  };
  for (int i = 0; i < 100; ++i) loop.Spawn(worker(loop, *pool, sum, left, i));
  loop.Run();
  EXPECT_EQ(sum, 328350);
  EXPECT_GT(loop.Figures().handlers, 100u);
}

TEST(TaskGroupTest, JoinWaitsForEveryChild) {
  SimulatedClock clock;
  Loop loop(clock);
  TimePoint joined{};
  const auto child = [](Loop& loop, Duration duration) -> Task<void> { co_await loop.Sleep(duration); };
  const auto parent = [&child](Loop& loop, TimePoint& joined) -> Task<void> {
    TaskGroup group(loop);
    for (int i = 1; i <= 3; ++i) group.Spawn(child(loop, std::chrono::seconds(i)));
    co_await group.Join();
    joined = loop.Now();
  };
  loop.Spawn(parent(loop, joined));
  loop.RunUntil([] { return false; });
  EXPECT_EQ(joined, TimePoint(3s));
}

}  // namespace
}  // namespace millrace
