// Runs from creation to end.
#include "server/base/duration.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

v1::Pipeline Prepared() {
  return MakePipeline({"in:fetch", "made:prepare:in", "told:synthesize:made", "out:store:told"});
}

TEST(EngineTest, RunsALinearPipelineToItsEnd) {
  World world;
  const v1::Run created = world.Create(Prepared(), MakeItems(10));
  EXPECT_EQ(created.state(), v1::RUN_STATE_RUNNING);
  const v1::Run run = world.Wait(created.name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED) << run.error().message();
  EXPECT_EQ(world.Stage(run, "in").ok(), 10);
  EXPECT_EQ(world.Stage(run, "made").computed(), 10);
  EXPECT_EQ(world.Stage(run, "told").items_in(), 10);
  EXPECT_EQ(world.Stage(run, "told").ok(), 10);
  EXPECT_EQ(world.Stage(run, "told").calls(), 10);
  EXPECT_THAT(world.outside.asked, SizeIs(10));
  ASSERT_THAT(world.outside.sink, SizeIs(1));
  EXPECT_THAT(world.outside.sink[0], ElementsAre("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"));
  const std::vector<v1::Item> items = world.Items(run.name(), "");
  ASSERT_THAT(items, SizeIs(10));
  EXPECT_EQ(items[3].json(), R"({"id":"a3","text":"text a3","group":"3","prepared":true,"answer":"TEXT A3"})");
}

TEST(EngineTest, AStageCountsTheCpuTimeThatItComputes) {
  World world;
  world.cpu_step = 1ms;
  const v1::Run run = world.Wait(world.Create(Prepared(), MakeItems(300)).name());
  // Two chunks of items, each inspected before and after their memos are read; `made` also computes.
  EXPECT_EQ(ToDuration(world.Stage(run, "told").computing_time()), 4ms);
  EXPECT_EQ(ToDuration(world.Stage(run, "made").computing_time()), 6ms);
}

TEST(EngineTest, AWatcherGetsTheEndAndThenItIsStored) {
  World world;
  world.store_options.sync_cost = 100ms;
  world.Crash();
  const std::string name = world.Create(Prepared(), MakeItems(20)).name();
  v1::WatchRunRequest request;
  request.set_run(name);
  v1::RunState last = v1::RUN_STATE_UNSPECIFIED;
  for (bool end = false; !end;) {
    const auto page = world.Do(world.engine->runs().NextEvents(RequestContext(world.clock.Now() + 1h), request));
    ASSERT_TRUE(page.ok()) << MessageOf(page.status());
    for (const v1::RunEvent& event : page->events) {
      request.set_after(event.number());
      if (event.has_state_changed()) last = event.state_changed().state();
    }
    end = page->end;
  }
  EXPECT_EQ(last, v1::RUN_STATE_SUCCEEDED);
  world.Crash(true);
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(EngineTest, AnEndIsShownOnceItIsStored) {
  World world;
  world.store_options.sync_cost = 100ms;
  world.Crash();
  const std::string name = world.Create(Prepared(), MakeItems(20)).name();
  while (world.Get(name).state() == v1::RUN_STATE_RUNNING) world.Pass(1ms);
  world.Crash(true);
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(EngineTest, AStoreCountsTheItemsForWhichItsConditionHolds) {
  World world;
  v1::Pipeline pipeline = Prepared();
  v1::Comparison& compare = *StageOf(pipeline, "out").mutable_when()->mutable_compare();
  compare.set_field("group");
  compare.set_equals("\"3\"");
  const v1::Run run = world.Wait(world.Create(pipeline, MakeItems(20)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED) << run.error().message();
  ASSERT_THAT(world.outside.sink, SizeIs(1));
  EXPECT_EQ(world.Stage(run, "out").items_in(), 20);
  EXPECT_EQ(world.Stage(run, "out").ok(), static_cast<int64_t>(world.outside.sink[0].size()));
}

TEST(EngineTest, ASecondRunOverTheSameInputAsksAndComputesNothing) {
  World world;
  const v1::Run first = world.Wait(world.Create(Prepared(), MakeItems(300)).name());
  const std::vector<v1::Item> before = world.Items(first.name(), "told");
  const int64_t prepared = world.outside.prepared;
  const size_t asked = world.outside.starts.size();
  const v1::Run second = world.Wait(world.Create(Prepared(), MakeItems(300)).name());
  EXPECT_EQ(second.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.outside.prepared, prepared);
  EXPECT_EQ(world.outside.starts.size(), asked);
  EXPECT_EQ(world.Stage(second, "told").reused(), 300);
  EXPECT_EQ(world.Stage(second, "told").computed(), 0);
  const std::vector<v1::Item> after = world.Items(second.name(), "told");
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i].json(), before[i].json());
}

TEST(EngineTest, OnlyNewItemsAreComputedWhenTheInputHasGrown) {
  World world;
  world.Wait(world.Create(Prepared(), MakeItems(20)).name());
  const v1::Run run = world.Wait(world.Create(Prepared(), MakeItems(25)).name());
  EXPECT_EQ(world.Stage(run, "told").reused(), 20);
  EXPECT_EQ(world.Stage(run, "told").computed(), 5);
  EXPECT_THAT(world.outside.starts, SizeIs(25));
}

TEST(EngineTest, ABarrierIsMemoizedAsAWhole) {
  const v1::Pipeline pipeline =
      MakePipeline({"in:fetch", "families:cluster:in", "told:synthesize:families", "out:store:told"});
  World world;
  const v1::Run first = world.Wait(world.Create(pipeline, MakeItems(40)).name());
  EXPECT_EQ(first.state(), v1::RUN_STATE_SUCCEEDED) << first.error().message();
  EXPECT_EQ(world.Stage(first, "families").ok(), 5);
  EXPECT_EQ(world.outside.clustered, 1);
  const v1::Run second = world.Wait(world.Create(pipeline, MakeItems(40)).name());
  EXPECT_EQ(world.outside.clustered, 1);
  EXPECT_EQ(world.Stage(second, "families").reused(), 5);
  EXPECT_THAT(world.outside.starts, SizeIs(5));
  const v1::Run third = world.Wait(world.Create(pipeline, MakeItems(41)).name());
  EXPECT_EQ(world.outside.clustered, 2);
  EXPECT_EQ(third.state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(EngineTest, RefreshComputesEverythingAgainAndRemembersIt) {
  World world;
  world.Wait(world.Create(Prepared(), MakeItems(5)).name());
  v1::CreateRunRequest request;
  *request.mutable_definition() = Prepared();
  for (const std::string& item : MakeItems(5)) (*request.mutable_items())["in"].add_items()->set_json(item);
  request.set_refresh(true);
  const v1::Run run = world.Wait(world.Create(request).name());
  EXPECT_EQ(world.Stage(run, "made").computed(), 5);
  EXPECT_EQ(world.outside.prepared, 10);
}

TEST(EngineTest, ItemsOfSeveralNeedsInterleaveInOrder) {
  World world;
  v1::CreateRunRequest request;
  *request.mutable_definition() =
      MakePipeline({"left:fetch", "right:fetch", "both:prepare:left,right", "out:store:both"});
  for (const std::string& item : MakeItems(3, "l")) (*request.mutable_items())["left"].add_items()->set_json(item);
  for (const std::string& item : MakeItems(5, "r")) (*request.mutable_items())["right"].add_items()->set_json(item);
  const v1::Run run = world.Wait(world.Create(request).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  ASSERT_THAT(world.outside.sink, SizeIs(1));
  EXPECT_THAT(world.outside.sink[0], ElementsAre("l0", "r0", "l1", "r1", "l2", "r2", "r3", "r4"));
}

TEST(EngineTest, ADiamondGetsEveryItemOnce) {
  World world;
  const v1::Run run = world.Wait(
      world
          .Create(MakePipeline({"in:fetch", "a:prepare:in", "b:cluster:in", "told:synthesize:a,b", "out:store:told,a"}),
                  MakeItems(12))
          .name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED) << run.error().message();
  EXPECT_EQ(world.Stage(run, "told").ok(), 17);
  EXPECT_THAT(world.outside.sink[0], SizeIs(29));
}

TEST(EngineTest, FailedAndSkippedItemsReachNoLaterStage) {
  World world;
  std::vector<std::string> items = MakeItems(2);
  items.push_back(R"({"id":"dropped","drop":true})");
  items.push_back(R"({"id":"failed","fail":true})");
  const v1::Run run = world.Wait(world.Create(Prepared(), items).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.States(run.name(), "made"), ElementsAre("a0=OK", "a1=OK", "dropped=SKIPPED", "failed=FAILED"));
  EXPECT_THAT(world.States(run.name(), "told"), ElementsAre("a0=OK", "a1=OK"));
}

TEST(EngineTest, ADuplicateIdFailsTheLaterItem) {
  World world;
  const v1::Run run = world.Wait(
      world.Create(Prepared(), {R"({"id":"a","text":"1"})", R"({"id":"b","text":"2"})", R"({"id":"a","text":"3"})"})
          .name());
  EXPECT_THAT(world.States(run.name(), "in"), ElementsAre("a=OK", "b=OK", "a#3=FAILED"));
  EXPECT_EQ(world.Items(run.name(), "in")[2].error().reason(), v1::ERROR_REASON_BAD_ITEM_ID);
  EXPECT_THAT(world.States(run.name(), "told"), ElementsAre("a=OK", "b=OK"));
}

TEST(EngineTest, ItemsForWhichWhenDoesNotHoldPassUnchanged) {
  World world;
  v1::Pipeline pipeline = Prepared();
  v1::Comparison& compare = *StageOf(pipeline, "told").mutable_when()->mutable_compare();
  compare.set_field("group");
  compare.set_equals("\"1\"");
  const v1::Run run = world.Wait(world.Create(pipeline, MakeItems(10)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(2));
  const std::vector<v1::Item> items = world.Items(run.name(), "told");
  EXPECT_EQ(items[0].origin(), v1::ORIGIN_PASSED);
  EXPECT_EQ(items[1].origin(), v1::ORIGIN_COMPUTED);
}

TEST(EngineTest, ConcurrencyLimitsTheItemsInFlight) {
  World world;
  v1::Pipeline pipeline = Prepared();
  StageOf(pipeline, "told").set_concurrency(7);
  world.Wait(world.Create(pipeline, MakeItems(100)).name());
  EXPECT_EQ(world.outside.in_flight_max, 7);
}

TEST(EngineTest, FailsWhenMoreItemsFailThanAllowed) {
  World world;
  v1::Pipeline pipeline = Prepared();
  StageOf(pipeline, "told").set_concurrency(1);
  StageOf(pipeline, "told").mutable_max_failures()->set_count(2);
  world.outside.fault = [](const std::string&) { return MakeError(Reason::kRefusal, "no"); };
  const v1::Run run = world.Wait(world.Create(pipeline, MakeItems(20)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.error().reason(), v1::ERROR_REASON_TOO_MANY_FAILURES);
  EXPECT_EQ(run.error().stage(), "told");
  EXPECT_THAT(world.outside.starts, SizeIs(3));
  EXPECT_EQ(world.Stage(run, "told").failed(), 3);
}

TEST(EngineTest, StopsWhenAllOfTheFirstItemsFail) {
  World world;
  v1::Pipeline pipeline = Prepared();
  StageOf(pipeline, "told").set_concurrency(1);
  world.outside.fault = [](const std::string&) { return MakeError(Reason::kRefusal, "no"); };
  const v1::Run run = world.Wait(world.Create(pipeline, MakeItems(100)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.error().reason(), v1::ERROR_REASON_TOO_MANY_FAILURES);
  EXPECT_THAT(run.error().message(),
              testing::HasSubstr("all of the first 50 items failed, the newest with REFUSAL: no"));
  EXPECT_THAT(world.outside.starts, SizeIs(50));
}

TEST(EngineTest, ContinuesAfterFailuresIfOneItemSucceeded) {
  World world;
  v1::Pipeline pipeline = Prepared();
  StageOf(pipeline, "told").set_concurrency(1);
  world.outside.fault = [](const std::string& question) {
    const bool fails = question.starts_with("text") && question != "text a0";
    return fails ? MakeError(Reason::kRefusal, "no") : absl::OkStatus();
  };
  EXPECT_EQ(world.Wait(world.Create(pipeline, MakeItems(100)).name()).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.starts, SizeIs(100));
}

TEST(EngineTest, AToleranceOfAllItemsLetsAllBeProcessed) {
  World world;
  v1::Pipeline pipeline = Prepared();
  StageOf(pipeline, "told").mutable_max_failures()->set_share(1);
  world.outside.fault = [](const std::string&) { return MakeError(Reason::kRefusal, "no"); };
  EXPECT_EQ(world.Wait(world.Create(pipeline, MakeItems(100)).name()).state(), v1::RUN_STATE_FAILED);
  EXPECT_THAT(world.outside.starts, SizeIs(100));
}

TEST(EngineTest, AShareOfFailuresIsJudgedWhenTheInputIsClosed) {
  World world;
  v1::Pipeline pipeline = Prepared();
  StageOf(pipeline, "told").mutable_max_failures()->set_share(0.1);
  world.outside.fault = [](const std::string& question) {
    return question == "text a3" ? MakeError(Reason::kRefusal, "no") : absl::OkStatus();
  };
  EXPECT_EQ(world.Wait(world.Create(pipeline, MakeItems(10)).name()).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(world.Wait(world.Create(pipeline, MakeItems(9)).name()).state(), v1::RUN_STATE_FAILED);
}

TEST(EngineTest, AnEmptyResultBecauseAllFailedFailsTheRun) {
  World world;
  world.outside.fault = [](const std::string&) { return MakeError(Reason::kRefusal, "no"); };
  const v1::Run run = world.Wait(world.Create(Prepared(), MakeItems(3)).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.error().reason(), v1::ERROR_REASON_NOTHING_LEFT);
  EXPECT_THAT(world.outside.sink, IsEmpty());
}

TEST(EngineTest, AnEmptyInputSucceeds) {
  World world;
  const v1::Run run = world.Wait(world.Create(Prepared(), {}).name());
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(EngineTest, ReadsAFileInPiecesAndTakesOnlyTheFirstItemsOrASample) {
  World world;
  for (const std::string& item : MakeItems(1000)) world.outside.files["titles.jsonl"] += item + "\n";
  world.options.read_bytes = 1000;
  world.Crash();
  v1::CreateRunRequest request;
  *request.mutable_definition() = MakePipeline({"in:fetch", "made:prepare:in", "out:store:made"});
  StageOf(*request.mutable_definition(), "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  EXPECT_EQ(world.Stage(world.Wait(world.Create(request).name()), "made").ok(), 1000);
  request.set_limit(10);
  EXPECT_EQ(world.Stage(world.Wait(world.Create(request).name()), "made").ok(), 10);
  EXPECT_THAT(world.outside.sink.back(), testing::Contains("a9"));
  request.clear_limit();
  request.set_sample(50);
  EXPECT_EQ(world.Stage(world.Wait(world.Create(request).name()), "made").ok(), 50);
  const std::vector<std::string> drawn = world.outside.sink.back();
  world.Wait(world.Create(request).name());
  EXPECT_EQ(world.outside.sink.back(), drawn);
}

TEST(EngineTest, ALargeRowIsParsedFewTimes) {
  World world;
  world.outside.files["titles.jsonl"] = R"({"text":")" + std::string(1 << 19, 'x') + "\"}\n" + MakeItems(1)[0] + "\n";
  world.options.read_bytes = 1000;
  world.Crash();
  v1::CreateRunRequest request;
  *request.mutable_definition() = MakePipeline({"in:fetch", "made:prepare:in", "out:store:made"});
  StageOf(*request.mutable_definition(), "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  EXPECT_EQ(world.Stage(world.Wait(world.Create(request).name()), "made").ok(), 2);
  EXPECT_LE(world.outside.reads, 12);
}

TEST(EngineTest, TheSameRequestIdGivesTheSameRun) {
  World world;
  v1::CreateRunRequest request;
  *request.mutable_definition() = Prepared();
  for (const std::string& item : MakeItems(3)) (*request.mutable_items())["in"].add_items()->set_json(item);
  request.set_request_id("once");
  std::vector<StatusOr<v1::CreateRunResponse>> responses;
  const auto race = [](World& world, v1::CreateRunRequest request,
                       std::vector<StatusOr<v1::CreateRunResponse>>& responses) -> Task<void> {
    auto response = co_await world.engine->runs().CreateRun({}, std::move(request));
    responses.push_back(std::move(response));
  };
  for (int i = 0; i < 64; ++i) world.loop->Spawn(race(world, request, responses));
  ASSERT_TRUE(world.Until([&] { return responses.size() == 64; }));
  std::set<std::string> names;
  int existed = 0;
  for (const auto& response : responses) {
    ASSERT_TRUE(response.ok()) << MessageOf(response.status());
    names.insert(response->run().name());
    existed += response->existed() ? 1 : 0;
  }
  EXPECT_THAT(names, SizeIs(1));
  EXPECT_EQ(existed, 63);
  world.Wait(*names.begin());
  world.Crash();
  EXPECT_EQ(world.Create(request).name(), *names.begin());
  request.set_refresh(true);
  const auto other = world.Do(world.engine->runs().CreateRun({}, request));
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(other.status()), Reason::kRequestIdReused);
}

TEST(EngineTest, EventsHaveNoGapsAndEndWithTheRun) {
  World world;
  const v1::Run run = world.Wait(world.Create(Prepared(), MakeItems(50)).name());
  const std::vector<v1::RunEvent> events = world.Events(run.name());
  ASSERT_FALSE(events.empty());
  int stages_done = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].number(), static_cast<int64_t>(i) + 1);
    stages_done += events[i].has_stage_done() ? 1 : 0;
  }
  EXPECT_EQ(stages_done, 4);
  EXPECT_EQ(events.front().state_changed().state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(events.back().state_changed().state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(run.last_event(), events.back().number());
}

TEST(EngineTest, StreamsItemsInTheOrderOfTheirCommit) {
  World world;
  const v1::Run run = world.Create(Prepared(), MakeItems(50));
  v1::StreamItemsRequest request;
  request.set_run(run.name());
  request.set_stage("told");
  request.set_follow(true);
  std::set<std::string> ids;
  size_t items = 0;
  while (true) {
    auto page = world.Do(world.engine->runs().NextItems({}, request));
    ASSERT_TRUE(page.ok()) << MessageOf(page.status());
    for (const v1::StreamItemsResponse& item : page->items) {
      ids.insert(item.item().id());
      ++items;
      request.set_resume_token(item.resume_token());
    }
    if (page->end) break;
  }
  EXPECT_EQ(items, 50u);
  EXPECT_THAT(ids, SizeIs(50));
}

TEST(EngineTest, AnItemThatIsTooLargeFailsWhereItIsMade) {
  World world;
  world.options.item_bytes_max = 60;
  world.Crash();
  std::vector<std::string> items = MakeItems(2);  // of 41 bytes, 57 when they are prepared, 75 with their answer
  items.push_back(R"({"id":"b","text":")" + std::string(60, 'x') + R"("})");
  const v1::Run run = world.Wait(world.Create(Prepared(), items).name());
  EXPECT_THAT(world.States(run.name(), "in"), ElementsAre("a0=OK", "a1=OK", "b=FAILED"));
  EXPECT_THAT(world.States(run.name(), "made"), ElementsAre("a0=OK", "a1=OK"));
  EXPECT_THAT(world.States(run.name(), "told"), ElementsAre("a0=FAILED", "a1=FAILED"));
  EXPECT_EQ(world.Stage(run, "told").calls(), 2) << "they were paid";
  const v1::Item told = world.Items(run.name(), "told").front();
  EXPECT_EQ(told.error().reason(), v1::ERROR_REASON_BAD_ITEM);
  EXPECT_EQ(told.error().message(), "the item has 75 bytes of JSON, the server's max_item_bytes is 60");
  EXPECT_THAT(told.json(), IsEmpty());
  // An item that was too large is not memoized; under a greater limit it is computed again from cached answers.
  world.options.item_bytes_max = 100;
  world.Crash();
  const v1::Run again = world.Wait(world.Create(Prepared(), MakeItems(2)).name());
  EXPECT_THAT(world.States(again.name(), "told"), ElementsAre("a0=OK", "a1=OK"));
  EXPECT_EQ(world.Stage(again, "made").reused(), 2);
  EXPECT_EQ(world.Stage(again, "told").cache_hits(), 2);
}

TEST(EngineTest, MeasuresAreTakenFromTheItems) {
  World world;
  v1::Pipeline pipeline = MakePipeline({"in:fetch", "families:cluster:in", "out:store:families"});
  v1::Measure& count = *pipeline.add_measures();
  count.set_name("families");
  count.mutable_count()->set_stage("families");
  v1::Measure& mean = *pipeline.add_measures();
  mean.set_name("size");
  mean.mutable_mean()->set_stage("families");
  mean.mutable_mean()->set_field("size");
  v1::Measure& ratio = *pipeline.add_measures();
  ratio.set_name("ratio");
  ratio.mutable_ratio()->set_of("size");
  ratio.mutable_ratio()->set_to("families");
  const v1::Run run = world.Wait(world.Create(pipeline, MakeItems(50)).name());
  ASSERT_EQ(run.measures_size(), 3);
  EXPECT_EQ(run.measures(0).value(), 5);
  EXPECT_EQ(run.measures(1).value(), 10);
  EXPECT_EQ(run.measures(2).value(), 2);
}

}  // namespace
}  // namespace millrace
