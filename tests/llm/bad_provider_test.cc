// Many calls against providers that fail, in virtual time: how much longer they take than they must, and how often
// a provider in trouble is asked. The figures are printed, and exact: equal seeds give equal runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <optional>

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

// Faults of a target for a minute: from `begin` on, attempts that begin before its end have this reaction.
struct Minute {
  TimePoint begin{};
  std::function<Reaction()> reaction;
};
Reaction Hang() { return {.latency = 120s, .outcome = HttpOutcome::kUnknown}; }  // until the time limit

// Returns the time that the calls take with a target that is healthy and, if `fault` is given, one of this priority
// that is at fault for a minute and healthy otherwise. The healthy one has priority 1.
Duration TimeWith(std::optional<Minute> fault, int32_t priority) {
  constexpr int kCalls = 2000;
  World world;
  world.config.mutable_models(0)->mutable_targets(0)->set_priority(1);
  if (fault) {
    v1::TargetConfig& sick = *world.config.mutable_models(0)->add_targets();
    sick.set_backend("other");
    sick.set_model("sick");
    sick.set_priority(priority);
  }
  world.provider.usual = [&](const HttpRequest& request) {
    const TimePoint now = world.clock.Now();
    const bool is_sick = fault && request.url.ends_with("/sick") && now >= fault->begin && now < fault->begin + 60s;
    return is_sick ? fault->reaction() : Reaction{.latency = 8s};
  };
  Crowd crowd;
  crowd.Ask(world, kCalls);
  EXPECT_TRUE(world.RunUntil([&] { return crowd.IsDone(); }));
  EXPECT_EQ(crowd.Succeeded(), kCalls);
  return world.clock.Now().time_since_epoch();
}

TEST(BadProviderTest, ASickTargetDoesNotSlowDownAHealthyOne) {
  const double healthy = Seconds(TimeWith(std::nullopt, 1));
  const auto refuse = [] { return Reaction{.outcome = HttpOutcome::kNotSent}; };
  for (const int32_t priority : {0, 1}) {
    for (const TimePoint begin : {TimePoint(), TimePoint(300s)}) {
      const double down = Seconds(TimeWith(Minute{begin, refuse}, priority));
      const double hanging = Seconds(TimeWith(Minute{begin, Hang}, priority));
      std::printf(
          "a target of %s priority at fault for 60 s from %.0f s on: %.0f s alone, %.0f s if it is down, %.0f s "
          "if it hangs\n",
          priority == 0 ? "better" : "the same", Seconds(begin.time_since_epoch()), healthy, down, hanging);
      EXPECT_LE(down, healthy * 1.02);
      EXPECT_LE(hanging, healthy * 1.02);
    }
  }
}

TEST(BadProviderTest, ATargetThatHangsForGoodTakesOneProbeEachHalfMinute) {
  World world;
  v1::TargetConfig& sick = *world.config.mutable_models(0)->add_targets();
  sick.set_backend("other");
  sick.set_model("sick");
  world.config.mutable_models(0)->mutable_targets(0)->set_priority(1);
  int hanging = 0;
  world.provider.usual = [&](const HttpRequest& request) {
    if (!request.url.ends_with("/sick")) return Reaction{.latency = 2s};
    ++hanging;
    return Hang();
  };
  Crowd crowd;
  crowd.Ask(world, 2000);
  ASSERT_TRUE(world.RunUntil([&] { return crowd.IsDone(); }));
  EXPECT_EQ(crowd.Succeeded(), 2000);
  std::printf("a target of better priority that hangs for good: %d attempts of it in %.0f s\n", hanging,
              Seconds(world.clock.Now().time_since_epoch()));
  EXPECT_LE(hanging, 8 + Seconds(world.clock.Now().time_since_epoch()) / 30);
}

}  // namespace
}  // namespace millrace
