// Models are loaded before a run, kept loaded, unloaded after it, and pulled if they are missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/llm/served_backend.h"

namespace millrace {
namespace {

using testing::HasSubstr;

class UpkeepTest : public testing::Test {
 protected:
  UpkeepTest() {
    world_.provider.usual = [this](const HttpRequest& request) { return server_(request); };
  }

  void Start(backend::Upkeep upkeep) {
    world_.make_backend = [upkeep] { return std::make_unique<ServedBackend>(upkeep); };
    world_.Restart();
  }
  std::shared_ptr<ModelLease> Lease() { return Do(world_, world_.calls().Lease({"writer"})); }
  std::shared_ptr<World::Asked> AskOf(const std::shared_ptr<ModelLease>& lease, const std::string& text) {
    CallContext context = OfRun("r");
    context.models = lease;
    return world_.Ask(text, context);
  }
  // Times of the requests to this URL, from the first of all requests on.
  std::vector<Duration> Times(const std::string& url) const {
    std::vector<Duration> times;
    for (const Provider::Received& received : world_.provider.received) {
      if (received.url == url) times.push_back(received.time - world_.provider.received.front().time);
    }
    return times;
  }
  // Expects that `time` is not before `earliest`, and after it by no more than what a commit takes.
  static void ExpectAfter(Duration time, Duration earliest) {
    EXPECT_GE(time, earliest);
    EXPECT_LT(time, earliest + 10ms);
  }
  std::string WaitsFor() { return world_.calls().Models().models(0).targets(0).waits_for(); }

  ServedProvider server_;
  World world_;
};

TEST_F(UpkeepTest, AModelIsLoadedBeforeTheFirstCallOfARun) {
  Start({.warms_up = true});
  const std::shared_ptr<ModelLease> lease = Lease();
  const auto asked = AskOf(lease, "q");
  EXPECT_EQ(WaitsFor(), "warm_up");
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }));
  EXPECT_TRUE(asked->outcome.status.ok()) << asked->outcome.status;
  EXPECT_EQ(asked->outcome.totals.attempts(), 1) << "loading is not an attempt";
  ASSERT_EQ(Times("http://provider/warm/m").size(), 1u);
  ExpectAfter(Times("http://provider/m")[0], Times("http://provider/warm/m")[0] + 5s);
  EXPECT_EQ(world_.Settled().size(), 1u);
}

TEST_F(UpkeepTest, CallsAreMadeIfTheModelCantBeLoaded) {
  Start({.warms_up = true});
  server_.errand_status = 500;
  const auto asked = AskOf(Lease(), "q");
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }));
  EXPECT_TRUE(asked->outcome.status.ok());
}

TEST_F(UpkeepTest, GenerateLoadsNothing) {
  Start({.warms_up = true, .keep_warm = 1min, .unloads = true});
  EXPECT_TRUE(world_.Answer("q").status.ok());
  world_.RunFor(1h);
  EXPECT_TRUE(Times("http://provider/warm/m").empty());
  EXPECT_TRUE(Times("http://provider/unload/m").empty());
}

TEST_F(UpkeepTest, AModelInUseIsKeptLoadedAndRequestsOfTheRunCount) {
  Start({.warms_up = true, .keep_warm = 4min});
  server_.errand_latency = 0ms;
  std::shared_ptr<ModelLease> lease = Lease();
  world_.RunFor(9min);
  EXPECT_EQ(Times("http://provider/warm/m").size(), 3u) << "at the beginning, after 4 and after 8 minutes";
  AskOf(lease, "q");
  world_.RunFor(3min + 30s);  // 12.5 minutes: 3.5 after the question
  EXPECT_EQ(Times("http://provider/warm/m").size(), 3u);
  world_.RunFor(1min);
  EXPECT_EQ(Times("http://provider/warm/m").size(), 4u);
  lease.reset();
  world_.RunFor(1h);
  EXPECT_EQ(Times("http://provider/warm/m").size(), 4u) << "no run uses it";
}

TEST_F(UpkeepTest, AModelIsUnloadedAfterTheLastRun) {
  Start({.unloads = true});
  std::shared_ptr<ModelLease> first = Lease();
  std::shared_ptr<ModelLease> second = Lease();
  first.reset();
  world_.RunFor(1min);
  EXPECT_TRUE(Times("http://provider/unload/m").empty());
  second.reset();
  world_.RunFor(1min);
  EXPECT_EQ(Times("http://provider/unload/m").size(), 1u);
}

TEST_F(UpkeepTest, ARunThatBeginsWhileTheModelIsBeingUnloadedLoadsItAfterwards) {
  Start({.warms_up = true, .unloads = true});
  Lease().reset();
  const auto asked = AskOf(Lease(), "q");
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }));
  const std::vector<Duration> warm = Times("http://provider/warm/m");
  const std::vector<Duration> unload = Times("http://provider/unload/m");
  ASSERT_FALSE(warm.empty());
  const Duration first = Times("http://provider/m")[0];
  ExpectAfter(first, warm.back() + 5s);
  // The model may also be unloaded after the run.
  for (const Duration time : unload) EXPECT_TRUE(time > first || warm.back() >= time + 5s);
}

TEST_F(UpkeepTest, TheEndOfTheServerWaitsForAnUnloadAndStopsOtherErrands) {
  Start({.warms_up = true, .unloads = true});
  std::shared_ptr<ModelLease> lease = Lease();
  lease.reset();  // while it is being loaded
  bool is_drained = false;
  world_.loop_->Spawn([](Calls& calls, TimePoint deadline, bool& done) -> Task<void> {
    co_await calls.Drain(deadline);
    done = true;
  }(world_.calls(), world_.clock.Now() + 1min, is_drained));
  const TimePoint begin = world_.clock.Now();
  EXPECT_TRUE(world_.RunUntil([&] { return is_drained; }));
  EXPECT_EQ(Times("http://provider/unload/m").size(), 1u);
  EXPECT_EQ(world_.clock.Now() - begin, 5s) << "not 10 s: the warm-up was stopped";
}

TEST_F(UpkeepTest, AMissingModelIsPulledOnceAndCallsWaitForIt) {
  Start({.pulls = true});
  server_.state = "other=1";
  server_.after_pull = "m=r-9";
  const std::shared_ptr<ModelLease> lease = Lease();
  const auto first = AskOf(lease, "q");
  const auto second = world_.Ask("another", OfRun("s"));
  world_.RunFor(6s);
  EXPECT_FALSE(first->done);
  EXPECT_EQ(world_.calls().FindFailing("r").progress, "10%");
  EXPECT_EQ(world_.calls().FindFailing("s").name, "plain/m");
  EXPECT_EQ(WaitsFor(), "pull (10%)");
  EXPECT_TRUE(world_.RunUntil([&] { return first->done && second->done; }));
  EXPECT_EQ(first->outcome.text, "said by m=r-9");
  EXPECT_EQ(Times("http://provider/pull/m").size(), 1u);
  EXPECT_EQ(first->outcome.totals.attempts(), 1);
  EXPECT_THAT(*world_.calls().Identity("writer", *lease), HasSubstr("r-9"));
  EXPECT_EQ(WaitsFor(), "");
}

TEST_F(UpkeepTest, WithoutPermissionNothingIsPulledAndTheProvidersErrorCounts) {
  Start({});
  server_.state = "other=1";
  world_.provider.usual = [this](const HttpRequest& request) {
    return request.url == "http://provider/m" ? Reaction{.status = 400} : server_(request);
  };
  EXPECT_FALSE(world_.Answer("q").status.ok());
  EXPECT_TRUE(Times("http://provider/pull/m").empty());
}

TEST_F(UpkeepTest, AfterAPullThatFailedCallsAreMadeAndFail) {
  Start({.pulls = true});
  server_.state = "other=1";
  server_.errand_status = 500;
  world_.provider.usual = [this](const HttpRequest& request) {
    return request.url == "http://provider/m" ? Reaction{.status = 400} : server_(request);
  };
  EXPECT_FALSE(world_.Answer("q").status.ok());
  EXPECT_FALSE(world_.Answer("another").status.ok());
  EXPECT_EQ(Times("http://provider/pull/m").size(), 1u) << "not again within a minute";
  world_.RunFor(2min);
  EXPECT_FALSE(world_.Answer("a third").status.ok());
  EXPECT_EQ(Times("http://provider/pull/m").size(), 2u);
}

TEST_F(UpkeepTest, WhileAModelIsPulledCallsGoElsewhere) {
  v1::TargetConfig& other = *world_.config.mutable_models(0)->add_targets();
  other.set_backend("other");
  other.set_model("n");
  other.set_priority(1);
  Start({.pulls = true});
  server_.state = "n=1";
  server_.after_pull = "n=1 m=2";
  server_.errand_latency = 1h;
  const std::shared_ptr<ModelLease> lease = Lease();
  const auto asked = AskOf(lease, "q");
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }, 1min));
  EXPECT_EQ(asked->outcome.model, "n");
}

TEST_F(UpkeepTest, ARunThatEndsBeforeTheModelIsLoadedHoldsNobodyBack) {
  Start({.warms_up = true});
  server_.errand_latency = 1h;
  bool is_over = false;
  world_.loop_->Spawn([](Calls& calls, bool& done) -> Task<void> {
    std::vector<std::string> names = {"writer"};
    std::shared_ptr<ModelLease> lease = co_await calls.Lease(std::move(names));
    lease.reset();  // in the same turn, as a run that was cancelled meanwhile
    done = true;
  }(world_.calls(), is_over));
  ASSERT_TRUE(world_.RunUntil([&] { return is_over; }, 1min));
  EXPECT_EQ(WaitsFor(), "");
  std::shared_ptr<ModelLease> lease = Lease();
  world_.RunFor(1s);
  EXPECT_EQ(WaitsFor(), "warm_up");
  lease.reset();  // while it is being loaded
  const auto generated = world_.Ask("q");
  EXPECT_TRUE(world_.RunUntil([&] { return generated->done; }, 1min));
  EXPECT_TRUE(generated->outcome.status.ok()) << generated->outcome.status;
}

TEST_F(UpkeepTest, CallsGoElsewhereIfLoadingTakesLongAndComeBack) {
  v1::TargetConfig& other = *world_.config.mutable_models(0)->add_targets();
  other.set_backend("other");
  other.set_model("n");
  other.set_priority(1);
  Start({.warms_up = true});
  server_.state = "m=1 n=1";
  server_.errand_latency = 5min;
  const std::shared_ptr<ModelLease> lease = Lease();
  const TimePoint begin = world_.clock.Now();
  const auto first = AskOf(lease, "q");
  EXPECT_TRUE(world_.RunUntil([&] { return first->done; }, 1min));
  EXPECT_EQ(first->outcome.model, "n");
  EXPECT_GE(world_.clock.Now() - begin, 29s) << "a model that is loaded soon is worth the wait";
  const auto second = AskOf(lease, "another");
  EXPECT_TRUE(world_.RunUntil([&] { return second->done; }, 1s));
  EXPECT_EQ(second->outcome.model, "n");
  world_.RunFor(6min);
  EXPECT_EQ(WaitsFor(), "");
  const auto third = AskOf(lease, "a third");
  EXPECT_TRUE(world_.RunUntil([&] { return third->done; }, 1min));
  EXPECT_EQ(third->outcome.model, "m");
}

TEST_F(UpkeepTest, CallsThatWaitedForTheModelAndTheStoreAreMade) {
  world_.store_options.disk_reserve = 1000;
  Start({.warms_up = true});
  const std::shared_ptr<ModelLease> lease = Lease();
  const auto asked = AskOf(lease, "q");
  world_.RunFor(1s);
  EXPECT_EQ(world_.calls().FindWaiting("r").limit, "warm_up");
  world_.disk.SetRoom(900);
  world_.RunFor(1min);  // the model is loaded meanwhile
  EXPECT_EQ(WaitsFor(), "");
  EXPECT_FALSE(asked->done);
  world_.disk.SetRoom(std::nullopt);
  EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }, 1min));
  EXPECT_TRUE(asked->outcome.status.ok()) << asked->outcome.status;
}

TEST_F(UpkeepTest, AModelThatTheServerListsUnderAnotherNameIsPulledOnceAMinute) {
  Start({.pulls = true});
  server_.state = "other=1";
  server_.after_pull = "other=1";
  for (int i = 0; i < 5; ++i) {
    const auto asked = world_.Ask("q" + std::to_string(i));
    EXPECT_TRUE(world_.RunUntil([&] { return asked->done; }, 20s)) << i;
    EXPECT_TRUE(asked->outcome.status.ok()) << asked->outcome.status;
    world_.RunFor(5s);
  }
  EXPECT_EQ(Times("http://provider/pull/m").size(), 1u);
}

}  // namespace
}  // namespace millrace
