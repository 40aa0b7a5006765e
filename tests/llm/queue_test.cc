#include "server/llm/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/llm/retry.h"
#include "server/storage/memory_store.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::ElementsAre;

class QueueTest : public testing::Test {
 protected:
  // A call of a run that notes its name when it is granted.
  Ticket& Call(std::string run, std::string name, int64_t priority = 0, std::vector<Target*> targets = {}) {
    auto ticket = std::make_unique<Ticket>();
    ticket->run = std::move(run);
    ticket->priority = priority;
    ticket->age = queue_.NextAge();
    ticket->targets = targets.empty() ? std::vector<Target*>{&target_} : std::move(targets);
    ticket->wake = [this, name, ticket = ticket.get()] {
      if (ticket->granted != nullptr) granted_.push_back(name);
    };
    tickets_.push_back(std::move(ticket));
    queue_.Enter(*tickets_.back());
    return *tickets_.back();
  }

  SimulatedClock clock_;
  Loop loop_{clock_};
  MemoryDisk disk_;
  MemoryStore store_{loop_, disk_};
  Queue queue_{loop_, store_};
  BackendEntry entry_;
  Target target_{loop_, entry_, "one", 1};
  Target other_{loop_, entry_, "other", 1};
  std::vector<std::unique_ptr<Ticket>> tickets_;
  std::vector<std::string> granted_;
};

TEST_F(QueueTest, RunsTakeTurnsWithinAPriority) {
  Call("a", "a0");
  for (const char* name : {"a1", "a2", "a3"}) Call("a", name);
  for (const char* name : {"b1", "b2"}) Call("b", name);
  Call("c", "c1", 1);
  for (int i = 0; i < 6; ++i) queue_.Release(target_);
  EXPECT_THAT(granted_, ElementsAre("a0", "c1", "a1", "b1", "a2", "b2", "a3"));
  EXPECT_EQ(queue_.waiting(), 0);
}

TEST_F(QueueTest, OneCallMayWaitForSeveralTargetsAndTakesOne) {
  target_.TakeSlot();
  other_.TakeSlot();
  Ticket& ticket = Call("a", "a", 0, {&target_, &other_});
  EXPECT_EQ(target_.waiting(), 1);
  EXPECT_EQ(other_.waiting(), 1);
  queue_.Release(other_);
  EXPECT_EQ(ticket.granted, &other_);
  EXPECT_EQ(target_.waiting(), 0);
  queue_.Release(target_);
  EXPECT_EQ(target_.in_flight(), 0);
}

TEST_F(QueueTest, NoCallGoesToATargetThatHoldsOff) {
  queue_.HoldOff(target_, TimePoint(10s));
  Call("a", "a");
  EXPECT_THAT(granted_, ElementsAre());
  loop_.RunUntil([&] { return !granted_.empty(); });
  EXPECT_EQ(clock_.Now(), TimePoint(10s));
}

TEST_F(QueueTest, ACallThatLeavesIsNotGranted) {
  Call("a", "a0");
  Ticket& leaver = Call("a", "a1");
  Call("a", "a2");
  queue_.Leave(leaver);
  queue_.Release(target_);
  EXPECT_THAT(granted_, ElementsAre("a0", "a2"));
}

TEST_F(QueueTest, AClosedQueueGrantsNothing) {
  queue_.Close();
  Call("a", "a");
  EXPECT_THAT(granted_, ElementsAre());
}

TEST(RetryTest, BacksOffWithFullJitterBelowADoublingCeiling) {
  const RetryPolicy policy{.attempts_max = 3, .backoff_initial = 100ms, .backoff_max = 1s};
  Random random(1);
  for (const auto& [failures, ceiling] :
       std::vector<std::pair<int32_t, Duration>>{{1, 100ms}, {2, 200ms}, {4, 800ms}, {5, 1s}, {1000, 1s}}) {
    Duration sum{};
    for (int i = 0; i < 2000; ++i) {
      const Duration delay = BackoffAfter(failures, policy, random);
      ASSERT_GE(delay, Duration(0));
      ASSERT_LT(delay, ceiling);
      sum += delay;
    }
    EXPECT_NEAR(static_cast<double>((sum / 2000).count()), static_cast<double>(ceiling.count()) / 2,
                static_cast<double>(ceiling.count()) * 0.03);
  }
}

}  // namespace
}  // namespace millrace
