#include "server/trace/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/trace/names.h"
#include "tests/trace/kept_spans.h"

namespace millrace::trace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class RecorderTest : public testing::Test {
 protected:
  Recorder& Make(RecorderOptions options) {
    recorder_.emplace(clock_, Random(1), sink_, options);
    return *recorder_;
  }
  static Beginning Item() { return {.name = "item", .label = "a", .slow_after = 10s}; }

  SimulatedClock clock_;
  KeptSpans sink_;
  std::optional<Recorder> recorder_;
};

TEST_F(RecorderTest, NoTraceMeansNoSpans) {
  Span nothing(Ref{}, "child");
  EXPECT_FALSE(nothing);
  nothing.Set("key", "value");
  nothing.Fail("type", "message");
  nothing.AddEvent("event");
  nothing.AddLink(nothing.ref());
  nothing.End();
  EXPECT_FALSE(nothing.ref());
  NullTracer tracer;
  EXPECT_FALSE(tracer.Begin(Item()));
}

TEST_F(RecorderTest, ASampledTraceIsHandedOverAsAWholeWhenItsRootEnds) {
  Recorder& recorder = Make({});
  Span root = recorder.Begin(Item());
  ASSERT_TRUE(root);
  clock_.Advance(1s);
  {
    Span child(root.ref(), "attempt", SpanKind::kClient, "gpt");
    child.Set("n", int64_t{3});
    child.AddEvent("first byte", {{"bytes", int64_t{7}}});
    clock_.Advance(2s);
    const Span grandchild(child.ref(), "wait");
  }
  EXPECT_EQ(sink_.takes, 0);
  root.End();
  EXPECT_EQ(sink_.takes, 1);
  EXPECT_THAT(sink_.Names(), ElementsAre("item a", "wait", "attempt gpt"));
  const SpanRecord& item = *sink_.kept[0].span;
  const SpanRecord& wait = *sink_.kept[1].span;
  const SpanRecord& attempt = *sink_.kept[2].span;
  EXPECT_EQ(item.parent, 0u);
  EXPECT_EQ(attempt.parent, item.id);
  EXPECT_EQ(wait.parent, attempt.id);
  EXPECT_EQ(attempt.end - attempt.start, 2s);
  EXPECT_EQ(item.end - item.start, 3s);
  EXPECT_THAT(attempt.events, SizeIs(1));
  EXPECT_TRUE(sink_.last.sampled);
  EXPECT_EQ(sink_.wall_offset + item.end.time_since_epoch().count(), clock_.WallMicros() * 1000);
}

TEST_F(RecorderTest, ATraceThatIsNotSampledIsDroppedUnlessItFailedOrWasSlowOrIsKept) {
  Recorder& recorder = Make({.sampler = {.ratio = 0}});
  Span quick = recorder.Begin(Item());
  { const Span child(quick.ref(), "attempt"); }
  quick.End();
  EXPECT_THAT(sink_.kept, IsEmpty());

  Span failed = recorder.Begin(Item());
  { const Span child(failed.ref(), "attempt"); }
  failed.Fail("SCHEMA", "not of the schema");
  failed.End();
  EXPECT_THAT(sink_.Names(), ElementsAre("item a", "attempt"));
  EXPECT_FALSE(sink_.last.sampled);

  sink_.kept.clear();
  Span slow = recorder.Begin(Item());
  clock_.Advance(10s);
  slow.End();
  EXPECT_THAT(sink_.kept, SizeIs(1));

  Span kept = recorder.Begin(Item());
  kept.Keep();
  kept.End();
  EXPECT_THAT(sink_.kept, SizeIs(2));
}

TEST_F(RecorderTest, NothingIsRecordedIfSamplingIsOffOrTheCallerSaysSo) {
  Recorder& recorder = Make({.sampler = {.is_off = true}});
  EXPECT_FALSE(recorder.Begin(Item()));
  EXPECT_FALSE(recorder.Begin({.name = "run", .is_long = true}));
  Beginning called{.name = "rpc"};
  called.parent = TraceContext{.trace = {1, 2}, .span = 3, .sampled = false};
  EXPECT_FALSE(Make({}).Begin(called));
}

TEST_F(RecorderTest, ACallersTraceIsContinued) {
  Beginning called{.name = "rpc", .kind = SpanKind::kServer};
  called.parent = TraceContext{.trace = {1, 2}, .span = 3, .sampled = true, .state = "a=1"};
  Span root = Make({.sampler = {.ratio = 0}}).Begin(called);
  ASSERT_TRUE(root);
  EXPECT_EQ(root.context().trace, (TraceId{1, 2}));
  EXPECT_EQ(root.context().state, "a=1");
  root.End();
  ASSERT_THAT(sink_.kept, SizeIs(1));
  EXPECT_EQ(sink_.kept[0].span->parent, 3u);
  EXPECT_TRUE(sink_.kept[0].span->is_parent_remote);
}

TEST_F(RecorderTest, SpansOfALongTraceAreHandedOverAsTheyEnd) {
  Recorder& recorder = Make({.sampler = {.ratio = 0}});
  Beginning beginning{.name = "run", .is_long = true};
  beginning.id = TraceId{5, 6};
  Span run = recorder.Begin(beginning);
  { const Span stage(run.ref(), "stage"); }
  EXPECT_THAT(sink_.Names(), ElementsAre("stage"));
  EXPECT_EQ(sink_.last.trace, (TraceId{5, 6}));
  run.End();
  EXPECT_THAT(sink_.Names(), ElementsAre("stage", "run"));
}

TEST_F(RecorderTest, ASpanThatOutlivesItsRootFollowsTheDecision) {
  Recorder& recorder = Make({.sampler = {.ratio = 0}});
  Span dropped = recorder.Begin(Item());
  Span late(dropped.ref(), "late");
  dropped.End();
  late.End();
  EXPECT_THAT(sink_.kept, IsEmpty());
  Span kept = recorder.Begin(Item());
  late = Span(kept.ref(), "late");
  kept.Keep();
  kept.End();
  recorder_.reset();  // the process ends meanwhile
  late.End();
  EXPECT_THAT(sink_.Names(), ElementsAre("item a", "late"));
}

TEST_F(RecorderTest, ATraceBuffersItsFirstAndItsNewestSpansAndCountsTheOthers) {
  Recorder& recorder = Make({.trace_spans_max = 4});
  Span root = recorder.Begin({.name = "item"});
  for (int i = 0; i < 10; ++i) const Span child(root.ref(), "attempt", SpanKind::kClient, std::to_string(i));
  root.End();
  EXPECT_THAT(sink_.Names(), ElementsAre("item", "attempt 0", "attempt 1", "attempt 8", "attempt 9"));
  EXPECT_EQ(sink_.dropped, 6);
  ASSERT_THAT(sink_.kept[0].span->attributes, SizeIs(1));
  EXPECT_STREQ(sink_.kept[0].span->attributes[0].key, kSpansDropped);
}

TEST_F(RecorderTest, AllTracesTogetherBufferABoundedNumberOfSpans) {
  Recorder& recorder = Make({.buffered_spans_max = 3});
  std::vector<Span> roots;
  for (int i = 0; i < 4; ++i) {
    roots.push_back(recorder.Begin({.name = "item"}));
    const Span child(roots.back().ref(), "attempt");
  }
  roots.clear();
  EXPECT_THAT(sink_.kept, SizeIs(4 + 3));
  EXPECT_EQ(sink_.dropped, 1);
  // All room was given back.
  Span root = recorder.Begin({.name = "item"});
  for (int i = 0; i < 3; ++i) const Span child(root.ref(), "attempt");
  root.End();
  EXPECT_THAT(sink_.kept, SizeIs(7 + 4));
  EXPECT_EQ(sink_.dropped, 1);
}

TEST_F(RecorderTest, AllTracesTogetherBufferABoundedNumberOfBytes) {
  Recorder& recorder = Make({.text_bytes_max = 64 << 10, .trace_spans_max = 4, .buffered_bytes_max = 350 << 10});
  const std::string text(64 << 10, 'x');
  for (int time = 1; time <= 2; ++time) {
    std::vector<Span> roots;
    for (int i = 0; i < 8; ++i) {
      roots.push_back(recorder.Begin({.name = "item"}));
      Span child(roots.back().ref(), "attempt");
      child.Set("text", text);
    }
    roots.clear();
    EXPECT_THAT(sink_.Named("attempt"), SizeIs(5 * time)) << "all room was given back";
    EXPECT_EQ(sink_.dropped, 3 * time);
  }
  // A ring that replaces its spans takes no more room with time.
  Span root = recorder.Begin({.name = "item"});
  for (int i = 0; i < 100; ++i) {
    Span child(root.ref(), "attempt");
    child.Set("text", text);
  }
  root.End();
  EXPECT_THAT(sink_.Named("attempt"), SizeIs(5 * 2 + 4));
}

TEST_F(RecorderTest, TextsAreCutBetweenCharactersAndEventsAndLinksAreBounded) {
  Recorder& recorder = Make({.text_bytes_max = 5});
  Span other = recorder.Begin(Item());
  Span root = recorder.Begin(Item());
  root.Set("text", std::string("abcd\xc3\xa4"));
  for (int i = 0; i < 100; ++i) {
    root.AddEvent("event");
    root.AddLink(other.ref());
  }
  root.End();
  ASSERT_THAT(sink_.kept, SizeIs(1));
  EXPECT_EQ(std::get<std::string>(sink_.kept[0].span->attributes[0].value), "abcd");
  EXPECT_THAT(sink_.kept[0].span->events, SizeIs(32));
  ASSERT_THAT(sink_.kept[0].span->links, SizeIs(32));
  EXPECT_EQ(sink_.kept[0].span->links[0].span, other.context().span);
}

TEST_F(RecorderTest, AWaitThatWasNoneLeavesNoSpan) {
  Span root = Make({}).Begin(Item());
  Span none(root.ref(), "none");
  none.EndIfNoticeable();
  Span some(root.ref(), "some");
  clock_.Advance(1ms);
  some.EndIfNoticeable();
  root.End();
  EXPECT_THAT(sink_.Names(), ElementsAre("item a", "some"));
}

TEST_F(RecorderTest, ARootMayBeginInThePast) {
  clock_.Advance(5s);
  Beginning beginning{.name = "rpc"};
  beginning.start = clock_.Now() - 20ms;
  Make({}).Begin(beginning).End();
  EXPECT_EQ(sink_.kept.at(0).span->end - sink_.kept.at(0).span->start, 20ms);
}

}  // namespace
}  // namespace millrace::trace
