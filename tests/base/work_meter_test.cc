#include "server/base/work_meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "server/base/pool.h"
#include "server/base/shared_objects.h"

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(WorkMeterTest, EndsTheWorkAtItsSteps) {
  EXPECT_TRUE(SpendWork(1'000'000'000));  // no meter
  WorkMeter meter({.steps = 10, .name = "the test", .reason = Reason::kSchema});
  EXPECT_TRUE(SpendWork(10));
  EXPECT_TRUE(WorkStatus().ok());
  EXPECT_FALSE(SpendWork(1));
  EXPECT_FALSE(SpendWork(0));
  EXPECT_EQ(ReasonOf(WorkStatus()), Reason::kSchema);
  EXPECT_THAT(MessageOf(meter.status()), HasSubstr("the test takes more than 10 steps"));
}

TEST(WorkMeterTest, EndsTheWorkAtItsCpuTime) {
  WorkMeter meter({.cpu = std::chrono::milliseconds(5)});
  int64_t rounds = 0;
  while (meter.Spend(1000)) ++rounds;
  EXPECT_GT(rounds, 10);
  EXPECT_EQ(ReasonOf(meter.status()), Reason::kBadItem);
}

TEST(WorkMeterTest, EndsInnerWorkByTheFlagOfTheOuter) {
  std::atomic<bool> stop{false};
  const WorkMeter outer({.bytes = 7}, &stop);
  {
    WorkMeter inner({});
    EXPECT_EQ(inner.bytes_max(), 7u);
    EXPECT_EQ(WorkMeter::Current(), &inner);
    EXPECT_TRUE(inner.Spend(1'000'000));
    stop = true;
    EXPECT_FALSE(inner.Spend(1'000'000));
    EXPECT_EQ(ReasonOf(inner.status()), Reason::kCancelled);
  }
  EXPECT_EQ(WorkMeter::Current(), &outer);
}

TEST(WorkMeterTest, KeepsTheFirstErrorOfItsEnd) {
  WorkMeter meter({});
  meter.End(MakeError(Reason::kSchema, "first"));
  meter.End(MakeError(Reason::kBadItem, "second"));
  EXPECT_EQ(ReasonOf(meter.status()), Reason::kSchema);
}

TEST(WorkMeterTest, WorkOnThePoolEndsWhenItsCallerIsDestroyed) {
  SimulatedClock clock;
  Loop loop(clock);
  std::atomic<bool> has_begun{false};
  std::atomic<bool> has_ended{false};
  {
    const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 1);
    auto work = [&has_begun, &has_ended] {
      WorkMeter meter({});
      has_begun = true;
      while (meter.Spend(1000)) {
      }
      has_ended = true;
      return 1;
    };
    const auto run = [](Loop& on, Pool& by, decltype(work) function) -> Task<void> {
      co_await Compute(on, by, std::move(function));
    };
    loop.Spawn(run(loop, *pool, work));
    loop.RunReady();
    while (!has_begun) std::this_thread::yield();
    loop.Abandon();  // as at the end of the server
  }
  EXPECT_TRUE(has_ended);
}

TEST(SharedObjectsTest, MakesAnObjectOnceWhileItIsUsed) {
  SharedObjects objects;
  int made = 0;
  const auto make = [&made]() -> StatusOr<int> { return ++made; };
  auto first = *objects.Get<int>(Digest::Of("a"), make);
  EXPECT_EQ(*objects.Get<int>(Digest::Of("a"), make), first);
  EXPECT_EQ(**objects.Get<int>(Digest::Of("b"), make), 2);
  first.reset();
  EXPECT_EQ(**objects.Get<int>(Digest::Of("a"), make), 3);
  const auto fails = []() -> StatusOr<int> { return MakeError(Reason::kBadItem, "no"); };
  EXPECT_FALSE(objects.Get<int>(Digest::Of("c"), fails).ok());
}

}  // namespace
}  // namespace millrace
