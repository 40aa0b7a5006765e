// Many calls against providers that fail, in virtual time: how much longer they take than they must, and how often
// a provider in trouble is asked. The figures are printed, and exact: equal seeds give equal runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "tests/llm/world.h"

namespace millrace {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

struct Crowd {
  std::vector<std::shared_ptr<World::Asked>> calls;
  size_t done = 0;  // calls before this one are done

  void Ask(World& world, int count) {
    for (int i = 0; i < count; ++i) calls.push_back(world.Ask("q" + std::to_string(i), OfRun("r")));
  }
  bool IsDone() {
    while (done < calls.size() && calls[done]->done) ++done;
    return done == calls.size();
  }
  int Succeeded() const {
    return static_cast<int>(std::count_if(calls.begin(), calls.end(),
                                          [](const auto& call) { return call->done && call->outcome.status.ok(); }));
  }
};

void SetSlots(World& world, int32_t slots) {
  world.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(slots);
}

TEST(BadProviderTest, HalfOfAllAttemptsFailingCostsLittleMoreThanTheAttempts) {
  constexpr int kCalls = 7483;
  World world;
  world.config.mutable_models(0)->set_max_extra(100);  // a provider that bills nothing
  Random random(1);
  Duration service{};
  world.provider.usual = [&](const HttpRequest&) {
    Reaction reaction{.latency = 2s};
    const uint64_t fate = random.Below(14);
    if (fate == 0) reaction = {.latency = 10ms, .status = 429, .body = ""};
    if (fate == 1) reaction = {.latency = 1s, .status = 500, .body = "oops"};
    if (fate == 2) reaction = {.latency = 10ms, .status = 503, .body = "busy"};
    if (fate == 3) reaction = {.latency = 10ms, .outcome = HttpOutcome::kUnknown};
    if (fate == 4) reaction = {.latency = 120s, .outcome = HttpOutcome::kUnknown};  // hangs until the time limit
    if (fate == 5) reaction = {.latency = 1s, .outcome = HttpOutcome::kPartial, .body = "half"};
    if (fate == 6) reaction = {.latency = 2s, .body = "garbage"};
    service += reaction.latency;
    return reaction;
  };
  Crowd crowd;
  crowd.Ask(world, kCalls);
  ASSERT_TRUE(world.RunUntil([&] { return crowd.IsDone(); }));
  const double ratio = Seconds(world.clock.Now().time_since_epoch()) / (Seconds(service) / 8);
  std::printf("half of all attempts failing: %d of %d answered, %zu attempts, wall / bound %.3f\n", crowd.Succeeded(),
              kCalls, world.provider.received.size(), ratio);
  EXPECT_GE(crowd.Succeeded(), kCalls * 0.999);
  EXPECT_LE(ratio, 1.15);
}

TEST(BadProviderTest, AProviderThatIsDownIsLeftAloneAndThenUsedInFull) {
  constexpr int kCalls = 3000;
  World world;
  SetSlots(world, 100);
  bool is_down = true;
  world.provider.usual = [&](const HttpRequest&) {
    return is_down ? Reaction{.latency = 5ms, .status = 503, .body = "down"} : Reaction{.latency = 20ms};
  };
  Crowd crowd;
  crowd.Ask(world, kCalls);
  world.RunFor(60s);
  const size_t sent = world.provider.received.size();
  is_down = false;
  const TimePoint well = world.clock.Now();
  ASSERT_TRUE(world.RunUntil([&] { return world.provider.in_flight == 100; }));
  const Duration to_full = world.clock.Now() - well;
  ASSERT_TRUE(world.RunUntil([&] { return crowd.IsDone(); }));
  std::printf("a provider that is down for 60 s: %zu requests to it; full rate again after %.2f s\n", sent,
              Seconds(to_full));
  EXPECT_LE(sent, 100u + 60u);
  EXPECT_LE(to_full, 10s);
  EXPECT_EQ(crowd.Succeeded(), kCalls);
}

// Returns the time that 2,000 calls take with a target that is healthy and, if `fault` is given, one of the same
// priority that is at fault for the first minute.
Duration TimeWith(std::function<Reaction()> fault) {
  World world;
  if (fault) {
    v1::TargetConfig& sick = *world.config.mutable_models(0)->add_targets();
    sick.set_backend("other");
    sick.set_model("sick");
  }
  world.provider.usual = [&](const HttpRequest& request) {
    return request.url.ends_with("/sick") && world.clock.Now() < TimePoint(60s) ? fault() : Reaction{.latency = 2s};
  };
  if (fault) world.config.mutable_models(0)->set_max_extra(100);
  Crowd crowd;
  crowd.Ask(world, 2000);
  EXPECT_TRUE(world.RunUntil([&] { return crowd.IsDone(); }));
  EXPECT_EQ(crowd.Succeeded(), 2000);
  return world.clock.Now().time_since_epoch();
}

TEST(BadProviderTest, ASickTargetDoesNotSlowDownAHealthyOne) {
  const double healthy = Seconds(TimeWith(nullptr));
  const double down = Seconds(TimeWith([] { return Reaction{.outcome = HttpOutcome::kNotSent}; }));
  const double hanging = Seconds(TimeWith([] { return Reaction{.latency = 60s, .outcome = HttpOutcome::kUnknown}; }));
  std::printf("one of two targets at fault for 60 s: %.0f s alone, %.0f s if it is down, %.0f s if it hangs\n", healthy,
              down, hanging);
  EXPECT_LE(down, healthy * 1.02);
  EXPECT_LE(hanging, healthy * 1.02);
}

}  // namespace
}  // namespace millrace
