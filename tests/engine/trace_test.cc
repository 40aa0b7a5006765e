// The spans of a run: one bounded trace for the run, and a trace for each item of a stage that calls models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/engine/step/stage_trace.h"
#include "server/trace/names.h"
#include "tests/engine/world.h"
#include "tests/trace/kept_spans.h"

namespace millrace {
namespace {

using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;
using trace::ValueOf;

class RunTraceTest : public testing::Test {
 protected:
  // Starts the engine again, with a recorder.
  void Start(trace::RecorderOptions options = {}) {
    recorder_.emplace(world_.clock, Random(7), spans_, options);
    world_.tracer = &*recorder_;
    world_.Crash();
  }

  trace::KeptSpans spans_;
  std::optional<trace::Recorder> recorder_;
  World world_;
};

TEST_F(RunTraceTest, ARunsTraceHasItsStagesAndBatchesAndNoItem) {
  Start();
  const v1::Run run = world_.Wait(world_.Create(Linear(), MakeItems(3)).name());
  ASSERT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  const trace::TraceId id = trace::NamedTraceId({}, "run " + run.name());
  std::set<std::string> names;
  for (const auto& each : spans_.kept) {
    if (each.trace == id) names.insert(trace::NameOf(*each.span));
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"run " + run.pipeline(), "stage in", "stage told", "batch told", "stage out"}));
  const trace::SpanRecord& episode = *spans_.Named("run " + run.pipeline()).at(0);
  EXPECT_EQ(episode.parent, 0u);
  EXPECT_EQ(ValueOf(episode, trace::kRun), run.name());
  EXPECT_EQ(ValueOf(episode, trace::kRunState), "SUCCEEDED");
  const trace::SpanRecord& stage = *spans_.Named("stage told").at(0);
  EXPECT_EQ(stage.parent, episode.id);
  EXPECT_EQ(ValueOf(stage, trace::kItemsOk), "3");
  EXPECT_EQ(spans_.Named("batch told").at(0)->parent, stage.id);
}

TEST_F(RunTraceTest, AStagesSpanBeginsWithItsFirstWork) {
  Start();
  world_.Wait(world_.Create(Linear(), MakeItems(3)).name());
  EXPECT_EQ(spans_.Named("stage told").at(0)->start, spans_.Named("batch told").at(0)->start);
  const TimePoint first_answer = spans_.Named("item told").at(0)->start + world_.outside.latency;
  EXPECT_LT(spans_.Named("stage in").at(0)->start, first_answer);
  EXPECT_GE(spans_.Named("stage out").at(0)->start, first_answer) << "it waits for the answers";
}

TEST_F(RunTraceTest, EachItemHasATraceOfItsOwnThatIsFoundByItsIdAndLinkedToItsStage) {
  Start();
  const std::string run = world_.Create(Linear(), MakeItems(3)).name();
  world_.Wait(run);
  std::set<std::string> ids;
  const trace::SpanId stage = spans_.Named("stage told").at(0)->id;
  const trace::TraceId run_id = trace::NamedTraceId({}, "run " + run);
  for (const auto& each : spans_.kept) {
    if (trace::NameOf(*each.span) != "item told") continue;
    const std::string id = ValueOf(*each.span, trace::kItem);
    ids.insert(id);
    EXPECT_EQ(each.trace, trace::NamedTraceId(run_id, id));
    EXPECT_EQ(ValueOf(*each.span, trace::kItemState), "OK");
    ASSERT_THAT(each.span->links, SizeIs(1));
    EXPECT_EQ(each.span->links[0].span, stage);
    EXPECT_EQ(each.span->links[0].trace, run_id);
  }
  EXPECT_EQ(ids, (std::set<std::string>{"a0", "a1", "a2"}));
}

TEST_F(RunTraceTest, OfItemsThatAreNotSampledOnlyTheFailedAreKept) {
  world_.outside.fault = [](const std::string& question) {
    return question.find('1') == std::string::npos ? Status() : MakeError(Reason::kRefusal, "no");
  };
  Start({.sampler = {.ratio = 0}});
  world_.Wait(world_.Create(Linear(), MakeItems(3)).name());
  std::vector<const trace::SpanRecord*> items = spans_.Named("item told");
  ASSERT_THAT(items, SizeIs(1));
  EXPECT_EQ(ValueOf(*items[0], trace::kItem), "a1");
  EXPECT_EQ(ValueOf(*items[0], trace::kErrorType), "REFUSAL");
  EXPECT_THAT(spans_.Named("stage told"), SizeIs(1)) << "a run's own trace is kept";
}

TEST_F(RunTraceTest, RememberedItemsHaveATraceToo) {
  Start();
  world_.Wait(world_.Create(Linear(), MakeItems(3)).name());
  spans_.kept.clear();
  world_.Wait(world_.Create(Linear(), MakeItems(3)).name());
  ASSERT_THAT(spans_.Named("item told"), SizeIs(3));
  for (const trace::SpanRecord* item : spans_.Named("item told")) EXPECT_EQ(ValueOf(*item, trace::kMemoHit), "true");
  EXPECT_EQ(ValueOf(*spans_.Named("batch told").at(0), trace::kMemoHits), "3");
}

TEST_F(RunTraceTest, TheTraceOfALargeRunIsBounded) {
  world_.options.chunk_items = 10;
  Start();
  world_.Wait(world_.Create(Linear(), MakeItems(1500)).name());
  EXPECT_THAT(spans_.Named("batch told"), SizeIs(kBatchSpansMax));
  EXPECT_EQ(ValueOf(*spans_.Named("stage told").at(0), trace::kBatchesWithoutSpan), "50");
  EXPECT_THAT(spans_.Named("item told"), SizeIs(1500));
}

TEST_F(RunTraceTest, ARequestAndTheRunThatItStartsAreLinked) {
  Start();
  trace::Span rpc = recorder_->Begin({.name = "rpc"});
  RequestContext context;
  context.trace = rpc.ref();
  v1::CreateRunRequest request;
  *request.mutable_definition() = Linear();
  for (const std::string& item : MakeItems(1)) (*request.mutable_items())["in"].add_items()->set_json(item);
  const auto response = world_.Do(world_.engine->runs().CreateRun(std::move(context), std::move(request)));
  ASSERT_TRUE(response.ok()) << response.status();
  world_.Wait(response->run().name());
  rpc.End();
  const trace::SpanRecord& creating = *spans_.Named("create run " + response->run().pipeline()).at(0);
  const trace::SpanRecord& episode = *spans_.Named("run " + response->run().pipeline()).at(0);
  ASSERT_THAT(creating.links, SizeIs(1));
  EXPECT_EQ(creating.links[0].span, episode.id);
  ASSERT_THAT(episode.links, SizeIs(1));
  EXPECT_EQ(episode.links[0].span, creating.id);
}

TEST_F(RunTraceTest, NothingIsRecordedIfSamplingIsOff) {
  Start({.sampler = {.is_off = true}});
  world_.Wait(world_.Create(Linear(), MakeItems(3)).name());
  EXPECT_THAT(spans_.kept, IsEmpty());
}

}  // namespace
}  // namespace millrace
