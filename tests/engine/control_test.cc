// Runs that are paused, resumed, cancelled, deleted, checked or held up.
#include "server/storage/runs.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(ControlTest, AfterAPauseNoCallStartsAndCallsInFlightAreKept) {
  World world;
  world.outside.latency = 1s;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").set_concurrency(4);
  const std::string name = world.Create(pipeline, MakeItems(20)).name();
  world.Pass(1500ms);
  const auto paused = world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name)));
  ASSERT_TRUE(paused.ok());
  EXPECT_EQ(paused->run().state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(paused->run().waiting_on().reason(), v1::WaitingOn::REASON_USER);
  const size_t started = world.outside.starts.size();
  EXPECT_EQ(started, 8u);
  world.Pass(60s);
  EXPECT_EQ(world.outside.starts.size(), started);
  EXPECT_EQ(world.Stage(world.Get(name), "told").ok(), 8);
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_PAUSED);
  world.Pass(60s);
  EXPECT_EQ(world.outside.starts.size(), started);
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(20));
}

TEST(ControlTest, PauseAndResumeInAnyOrderAreHarmless) {
  World world;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").set_concurrency(2);  // so that it does not end before the last pause
  const std::string name = world.Create(pipeline, MakeItems(50)).name();
  for (int i = 0; i < 10; ++i) {
    world.Pass(3ms);
    EXPECT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).ok());
    EXPECT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).ok());
    EXPECT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
    EXPECT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  }
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(50));
  EXPECT_THAT(world.outside.sink.back(), SizeIs(50));
}

TEST(ControlTest, APausedRunWaitsForTheModelThatWasRemoved) {
  World world;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").mutable_synthesize()->set_model("writer");
  StageOf(pipeline, "told").set_concurrency(2);
  const std::string name = world.Create(pipeline, MakeItems(20)).name();
  const std::string other = world.Create(pipeline, MakeItems(20, "b")).name();
  world.Pass(15ms);
  for (const std::string& run : {name, other}) {
    ASSERT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(run))).ok());
  }
  world.outside.gone = {"writer"};
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).status()),
            Reason::kModelNotFound);
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().RedriveRun({}, Named<v1::RedriveRunRequest>(name))).status()),
            Reason::kWrongRunState);
  const auto cancelled = world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(other)));
  ASSERT_TRUE(cancelled.ok()) << MessageOf(cancelled.status());
  EXPECT_EQ(cancelled->run().state(), v1::RUN_STATE_CANCELLED);
  EXPECT_EQ(world.Do(world.engine->admin().GetStatus({}, {}))->active_runs(), 1);
  // A watcher of it waits, and its input takes nothing.
  v1::WatchRunRequest watch;
  watch.set_run(name);
  watch.set_after(1000);
  const auto page = world.Do(world.engine->runs().NextEvents(RequestContext(world.clock.Now() + 10s), watch));
  ASSERT_TRUE(page.ok());
  EXPECT_FALSE(page->end);
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CloseInput({}, Named<v1::CloseInputRequest>(name))).status()),
            Reason::kModelNotFound);
  EXPECT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).ok());
  world.outside.gone.clear();
  // No restart is needed, since the toy call layer has the configuration.
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.Get(other).state(), v1::RUN_STATE_CANCELLED);
  world.Crash();
  EXPECT_EQ(world.Get(other).state(), v1::RUN_STATE_CANCELLED);
}

TEST(ControlTest, IfRunsAreLeftAtRestAnInterruptedOneContinuesWhenItIsFollowed) {
  for (const std::string way : {"watch", "resume", "stream", "wait"}) {
    SCOPED_TRACE(way);
    World world;
    world.options.starts_runs = false;
    world.outside.latency = 1s;
    v1::CreateRunRequest request;
    request.set_request_id("once");
    *request.mutable_definition() = Linear();
    for (const std::string& json : MakeItems(20)) (*request.mutable_items())["in"].add_items()->set_json(json);
    const std::string name = world.Create(request).name();
    world.Pass(500ms);
    world.Crash();
    const size_t started = world.outside.starts.size();
    world.Pass(60s);
    EXPECT_EQ(world.outside.starts.size(), started);
    EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
    EXPECT_EQ(world.Get(name).waiting_on().reason(), v1::WaitingOn::REASON_USER);
    if (way == "watch") {
      v1::WatchRunRequest watch;
      watch.set_run(name);
      EXPECT_TRUE(world.Do(world.engine->runs().NextEvents(RequestContext(world.clock.Now() + 10s), watch)).ok());
    } else if (way == "resume") {
      EXPECT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
    } else if (way == "stream") {
      v1::StreamItemsRequest stream;
      stream.set_run(name);
      stream.set_stage("told");
      stream.set_follow(true);
      EXPECT_TRUE(world.Do(world.engine->runs().NextItems(RequestContext(world.clock.Now() + 10s), stream)).ok());
    } else {
      request.mutable_wait()->set_seconds(3600);
      const auto again = world.Do(world.engine->runs().CreateRun(RequestContext(world.clock.Now() + 1h), request));
      ASSERT_TRUE(again.ok()) << MessageOf(again.status());
      EXPECT_EQ(again->run().state(), v1::RUN_STATE_SUCCEEDED);
    }
    EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
    EXPECT_THAT(world.outside.sink.back(), SizeIs(20));
  }
}

TEST(ControlTest, CreateRunWaitsUntilItsRunHasEndedOrTheTimeIsOver) {
  World world;
  world.outside.latency = 10s;
  for (const auto& [seconds, state] : {std::pair(5, v1::RUN_STATE_RUNNING), std::pair(60, v1::RUN_STATE_SUCCEEDED)}) {
    v1::CreateRunRequest request;
    *request.mutable_definition() = Linear();
    for (const std::string& json : MakeItems(1, fmt::format("of{}s", seconds))) {
      (*request.mutable_items())["in"].add_items()->set_json(json);
    }
    request.mutable_wait()->set_seconds(seconds);
    const TimePoint begin = world.clock.Now();
    EXPECT_EQ(world.Create(request).state(), state) << seconds;
    EXPECT_LE(world.clock.Now() - begin, 11s);
    EXPECT_GE(world.clock.Now() - begin, 5s);
  }
}

TEST(ControlTest, AWaitEndsWhenItsClientLeaves) {
  World world;
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(1)).name();
  const auto left = std::make_shared<StopSignal>(*world.loop);
  bool answered = false;
  const auto wait = [](World& world, std::string name, std::shared_ptr<StopSignal> left, bool& answered) -> Task<void> {
    RequestContext context(kNever, std::move(left));
    v1::WaitRunRequest request = Named<v1::WaitRunRequest>(name);
    const auto response = co_await world.engine->runs().WaitRun(std::move(context), std::move(request));
    EXPECT_TRUE(response.ok());
    EXPECT_EQ(response->run().state(), v1::RUN_STATE_RUNNING);
    answered = true;
  };
  world.loop->Spawn(wait(world, name, left, answered));
  world.Pass(10s);
  EXPECT_FALSE(answered);
  left->Stop();
  world.Pass(1ms);
  EXPECT_TRUE(answered);
}

TEST(ControlTest, ACancelledRunWhoseModelIsGoneStaysCancelled) {
  World world;
  world.outside.latency = 1h;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").mutable_synthesize()->set_model("writer");
  const std::string name = world.Create(pipeline, MakeItems(20)).name();
  world.Pass(1s);
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  const v1::Run cancelled = world.Get(name);
  world.outside.gone = {"writer"};
  world.Crash();  // before what is in flight has ended
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_CANCELLED);
  EXPECT_EQ(world.Get(name).last_event(), cancelled.last_event());
  EXPECT_TRUE(world.Do(world.engine->runs().DeleteRun({}, Named<v1::DeleteRunRequest>(name))).ok());
}

TEST(ControlTest, ACancelIsDurableAndKeepsPaidAnswers) {
  World world;
  world.outside.latency = 1s;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").set_concurrency(4);
  const std::string name = world.Create(pipeline, MakeItems(20)).name();
  world.Pass(1500ms);
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  const size_t started = world.outside.starts.size();
  world.Pass(10s);
  EXPECT_EQ(world.outside.starts.size(), started);
  EXPECT_EQ(world.Stage(world.Get(name), "told").ok(), static_cast<int64_t>(started));
  EXPECT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).status()),
            Reason::kWrongRunState);
  world.Crash();
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_CANCELLED);
  int cancelled = 0;
  for (const v1::RunEvent& event : world.Events(name)) {
    cancelled += event.state_changed().state() == v1::RUN_STATE_CANCELLED ? 1 : 0;
  }
  EXPECT_EQ(cancelled, 1);
  // The next run asks only the questions that have no answer.
  EXPECT_EQ(world.Wait(world.Create(pipeline, MakeItems(20)).name()).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(20));
}

TEST(ControlTest, ACrashRightAfterACancelLeavesItCancelled) {
  World world;
  const std::string name = world.Create(Linear(), MakeItems(20)).name();
  world.Pass(5ms);
  ASSERT_TRUE(world.Do(world.engine->runs().CancelRun({}, Named<v1::CancelRunRequest>(name))).ok());
  world.Crash(true);
  world.Pass(1s);
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_CANCELLED);
  EXPECT_EQ(static_cast<int64_t>(world.Items(name, "told").size()), world.Stage(world.Get(name), "told").ok());
}

TEST(ControlTest, ChecksFailWarnOrPause) {
  World world;
  v1::Pipeline pipeline = Linear();
  v1::Expect& expect = *StageOf(pipeline, "told").mutable_expect();
  expect.set_min_items(5);
  expect.add_unique("group");
  const v1::Run failed = world.Wait(world.Create(pipeline, MakeItems(3)).name());
  EXPECT_EQ(failed.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(failed.error().reason(), v1::ERROR_REASON_EXPECTATION);
  EXPECT_THAT(world.outside.starts, IsEmpty());
  expect.set_action(v1::Expect::ACTION_WARN);
  const v1::Run warned = world.Wait(world.Create(pipeline, MakeItems(8)).name());
  EXPECT_EQ(warned.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(warned.warnings(), ElementsAre(testing::HasSubstr("unique: 3 items")));
  expect.set_action(v1::Expect::ACTION_PAUSE);
  world.outside.starts.clear();
  const v1::Run paused = world.Wait(world.Create(pipeline, MakeItems(4, "b")).name());
  EXPECT_EQ(paused.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(paused.waiting_on().reason(), v1::WaitingOn::REASON_EXPECT);
  EXPECT_THAT(world.outside.starts, IsEmpty());
  world.Crash();
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(paused.name()))).ok());
  EXPECT_EQ(world.Wait(paused.name()).state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(ControlTest, ParkedItemsWakeAtTheirTimeAlsoAfterARestart) {
  World world;
  const int64_t now = world.clock.WallMicros() / 1'000'000;
  std::vector<std::string> items = MakeItems(3);
  for (int i = 0; i < 40; ++i) {
    items.push_back(fmt::format(R"({{"id":"p{}","text":"later {}","wake":{}}})", i, i, now + 3600 + i));
  }
  const std::string name = world.Create(Linear(), items).name();
  world.Pass(10s);
  v1::Run run = world.Get(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run.waiting_on().reason(), v1::WaitingOn::REASON_TIME);
  EXPECT_EQ(world.Stage(run, "told").parked(), 40);
  EXPECT_THAT(world.outside.starts, SizeIs(3));
  world.Crash();
  world.Pass(3000s);
  EXPECT_THAT(world.outside.starts, SizeIs(3));
  world.Pass(620s);
  EXPECT_GT(world.outside.starts.size(), 10u);
  world.Crash();
  run = world.Wait(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.Stage(run, "told").ok(), 43);
  EXPECT_EQ(world.Stage(run, "told").parked(), 0);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(43));
}

TEST(ControlTest, ARunReportsWhatHoldsItUpEvenIfNothingMoves) {
  World world;
  world.outside.latency = 1h;
  const std::string name = world.Create(Linear(), MakeItems(3)).name();
  world.Pass(10s);
  const size_t before = world.Events(name).size();
  world.Pass(10s);
  EXPECT_THAT(world.Events(name), SizeIs(before));
  world.outside.failing = "cloud/m";
  world.Pass(10s);
  std::vector<v1::RunEvent> events = world.Events(name);
  ASSERT_THAT(events, SizeIs(before + 1));
  EXPECT_EQ(events.back().progress().run().waiting_on().object(), "cloud/m");
  EXPECT_THAT(events.back().progress().run().waiting_on().remedy(), testing::HasSubstr("HTTP 401"));
  world.outside.failing.clear();
  world.Pass(10s);
  events = world.Events(name);
  ASSERT_THAT(events, SizeIs(before + 2));
  EXPECT_FALSE(events.back().progress().run().has_waiting_on());
}

TEST(ControlTest, AParkedItemOfAPausedRunWaitsForTheResume) {
  World world;
  const int64_t now = world.clock.WallMicros() / 1'000'000;
  const std::string name =
      world.Create(Linear(), {fmt::format(R"({{"id":"p","text":"later","wake":{}}})", now + 100)}).name();
  world.Pass(10s);
  ASSERT_TRUE(world.Do(world.engine->runs().PauseRun({}, Named<v1::PauseRunRequest>(name))).ok());
  world.Pass(200s);
  EXPECT_THAT(world.outside.starts, IsEmpty());
  ASSERT_TRUE(world.Do(world.engine->runs().ResumeRun({}, Named<v1::ResumeRunRequest>(name))).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(1));
}

TEST(ControlTest, ANearlyFullDiskStopsNewWorkAndRunsContinueByThemselves) {
  World world;
  world.store_options.disk_reserve = 1 << 20;
  world.Crash();
  world.outside.latency = 1s;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").set_concurrency(2);
  const std::string name = world.Create(pipeline, MakeItems(10)).name();
  world.Pass(1500ms);
  world.disk.SetRoom((1 << 20) - 1000);
  world.Pass(5s);
  const size_t started = world.outside.starts.size();
  EXPECT_LT(started, 10u);
  EXPECT_EQ(world.Get(name).waiting_on().reason(), v1::WaitingOn::REASON_DISK);
  v1::CreateRunRequest request;
  *request.mutable_definition() = pipeline;
  const auto refused = world.Do(world.engine->runs().CreateRun({}, request));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.status()), Reason::kDiskLow);
  world.Pass(60s);
  EXPECT_EQ(world.outside.starts.size(), started);
  EXPECT_EQ(world.Stage(world.Get(name), "told").ok(), static_cast<int64_t>(started));
  world.disk.SetRoom(std::nullopt);
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(10));
}

TEST(ControlTest, ADeletedRunLeavesOnlyMemosAndAnswers) {
  World world;
  const std::string name = world.Wait(world.Create(Linear(), MakeItems(5)).name()).name();
  ASSERT_TRUE(world.Do(world.engine->runs().DeleteRun({}, Named<v1::DeleteRunRequest>(name))).ok());
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().GetRun({}, Named<v1::GetRunRequest>(name))).status()),
            Reason::kRunNotFound);
  EXPECT_EQ(world.Do(world.engine->runs().ListRuns({}, {}))->runs_size(), 0);
  for (const auto& [key, value] : world.disk.data()) EXPECT_EQ(key.find(name), std::string::npos);
  const v1::Run again = world.Wait(world.Create(Linear(), MakeItems(5)).name());
  EXPECT_EQ(world.Stage(again, "told").reused(), 5);
}

TEST(ControlTest, ADrainStoresCallsInFlightAndTheNextStartContinues) {
  World world;
  world.outside.latency = 1s;
  v1::Pipeline pipeline = Linear();
  StageOf(pipeline, "told").set_concurrency(2);
  const std::string name = world.Create(pipeline, MakeItems(10)).name();
  world.Pass(1500ms);
  const auto drain = [](World& world, bool& done) -> Task<void> {
    co_await world.engine->Drain(world.clock.Now() + 30s);
    done = true;
  };
  bool done = false;
  world.loop->Spawn(drain(world, done));
  ASSERT_TRUE(world.Until([&] { return done; }));
  EXPECT_EQ(world.outside.in_flight, 0);
  EXPECT_THAT(world.outside.starts, SizeIs(4));
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, {})).status()), Reason::kInvalidField);
  v1::CreateRunRequest request;
  *request.mutable_definition() = pipeline;
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().CreateRun({}, request)).status()), Reason::kDraining);
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  world.Crash();
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(10));
}

TEST(ControlTest, RunsAreListedNewestFirstInPages) {
  World world;
  std::vector<std::string> names;
  for (int i = 0; i < 7; ++i) {
    names.push_back(world.Wait(world.Create(Linear(), MakeItems(1)).name()).name());
    world.Pass(1s);
  }
  std::vector<std::string> listed;
  v1::ListRunsRequest request;
  request.set_page_size(3);
  do {
    const auto page = world.Do(world.engine->runs().ListRuns({}, request));
    ASSERT_TRUE(page.ok());
    for (const v1::Run& run : page->runs()) listed.push_back(run.name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  std::reverse(names.begin(), names.end());
  EXPECT_EQ(listed, names);
  request.set_page_token("0123");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().ListRuns({}, request)).status()), Reason::kInvalidPageToken);
}

}  // namespace
}  // namespace millrace
