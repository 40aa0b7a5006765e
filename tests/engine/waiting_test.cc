// The limit of a target that a run's calls wait for, as clients see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/world.h"

namespace millrace {
namespace {

TEST(WaitingTest, ARunReportsTheLimitThatItsCallsWaitFor) {
  World world;
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(3)).name();
  world.Pass(10s);
  world.outside.waiting = {.target = "cloud/m",
                           .limit = "requests_per_minute",
                           .text = "requests_per_minute: next in 3.0 s",
                           .since = world.clock.Now() - 1s,
                           .until = world.clock.Now() + 3s,
                           .place = 40,
                           .waiting = 212};
  EXPECT_FALSE(world.Get(name).has_waiting_on()) << "a second is not worth a word";
  world.outside.waiting.since = world.clock.Now() - 12s;
  const v1::WaitingOn waiting = world.Get(name).waiting_on();
  EXPECT_EQ(waiting.reason(), v1::WaitingOn::REASON_LIMIT);
  EXPECT_EQ(waiting.object(), "cloud/m");
  EXPECT_EQ(waiting.limit(), "requests_per_minute");
  EXPECT_EQ(waiting.place(), 40);
  EXPECT_EQ(waiting.queue_length(), 212);
  EXPECT_EQ(waiting.until().seconds() - waiting.since().seconds(), 15);
  EXPECT_EQ(waiting.remedy(), "requests_per_minute: next in 3.0 s; place 40 of 212 in the queue");
  world.Pass(5s);
  EXPECT_EQ(world.Events(name).back().progress().run().waiting_on().object(), "cloud/m");
  world.outside.failing = "cloud/m";
  EXPECT_EQ(world.Get(name).waiting_on().reason(), v1::WaitingOn::REASON_TARGET);
  EXPECT_EQ(world.Get(name).waiting_on().remedy(),
            "it is being retried (requests_per_minute: next in 3.0 s); its error: HTTP 401");
}

TEST(WaitingTest, EachCauseHasItsOwnTime) {
  World world;
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(3)).name();
  world.Pass(10s);
  world.outside.failing = "cloud/m";
  const int64_t since = world.Get(name).waiting_on().since().seconds();
  world.Pass(60s);
  EXPECT_EQ(world.Get(name).waiting_on().since().seconds(), since) << "the cause is the same";
  world.outside.failing = "cloud/other";
  EXPECT_EQ(world.Get(name).waiting_on().since().seconds(), since + 60);
}

}  // namespace
}  // namespace millrace
