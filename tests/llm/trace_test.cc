// The spans of a call: each step is visible apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/llm/traced_calls.h"
#include "server/trace/names.h"
#include "tests/llm/world.h"
#include "tests/trace/kept_spans.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using trace::ValueOf;

Task<void> AskTraced(CallHandler& calls, Store& store, CallContext context, CallRequest request, trace::Span item,
                     bool& is_done) {
  context.trace = item.ref();
  CallOutcome outcome = co_await calls.Handle(std::move(context), std::move(request));
  Settlement settlement = std::move(outcome.settlement);
  const Status status = co_await Commit(store, std::move(settlement));
  EXPECT_TRUE(status.ok()) << status;
  item.End();
  is_done = true;
}

class CallTraceTest : public testing::Test {
 protected:
  CallTraceTest() { options_.trace_spans_max = 256; }
  ~CallTraceTest() override { world_.Crash(); }

  // Begins a call of an item's.
  void Ask(std::string text, bool& is_done, const std::function<void(CallRequest&)>& change = {}) {
    if (!recorder_) {
      world_.Restart();
      recorder_.emplace(world_.clock, Random(7), spans_, options_);
      traced_.emplace(world_.calls());
    }
    CallRequest request;
    request.model_alias = "writer";
    request.question.messages.push_back({"user", std::move(text)});
    if (change) change(request);
    world_.loop_->Spawn(AskTraced(*traced_, *world_.store_, OfRun("r"), std::move(request),
                                  recorder_->Begin({.name = "item"}), is_done));
  }
  void Answer(std::string text, const std::function<void(CallRequest&)>& change = {}) {
    bool is_done = false;
    Ask(std::move(text), is_done, change);
    ASSERT_TRUE(world_.RunUntil([&] { return is_done; }));
  }

  trace::RecorderOptions options_;
  trace::KeptSpans spans_;
  World world_;
  std::optional<trace::Recorder> recorder_;
  std::optional<TracedCalls> traced_;
};

TEST_F(CallTraceTest, LookUpAttemptBackOffValidationAndRepairAreSpansOfTheirOwn) {
  world_.provider.script = {{.latency = 5ms, .status = 503, .body = ""},
                            {.latency = 6ms, .body = "not JSON"},
                            {.latency = 7ms, .body = R"({"n":1})"}};
  Answer("q", WithSchema);
  EXPECT_EQ(spans_.Tree(),
            "item\n"
            "  call writer\n"
            "    look up\n"
            "    chat m!\n"
            "    back off\n"
            "    chat m\n"
            "    validate!\n"
            "    repair\n"
            "      look up\n"
            "      chat m\n"
            "      validate\n");
}

TEST_F(CallTraceTest, AnAttemptHasTheAttributesOfTheConventions) {
  Answer("q", [](CallRequest& request) { request.question.temperature = 0.5; });
  ASSERT_THAT(spans_.Named("chat m"), SizeIs(1));
  const trace::SpanRecord& attempt = *spans_.Named("chat m")[0];
  EXPECT_EQ(attempt.kind, trace::SpanKind::kClient);
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiOperation), "chat");
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiProvider), "plain");
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiRequestModel), "m");
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiInputTokens), "10");
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiOutputTokens), "5");
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiFinishReasons), "stop");
  EXPECT_EQ(ValueOf(attempt, trace::kServerAddress), "provider");
  EXPECT_EQ(ValueOf(attempt, trace::kServerPort), "80");
  EXPECT_EQ(ValueOf(attempt, trace::kHttpStatus), "200");
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiInputMessages), "") << "prompts are recorded only if they are asked for";
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiOutputMessages), "");
  ASSERT_THAT(attempt.events, SizeIs(3));
  EXPECT_STREQ(attempt.events[0].name, "recorded as started");
  EXPECT_STREQ(attempt.events[1].name, "last byte");
  EXPECT_STREQ(attempt.events[2].name, "recorded as answered");
}

TEST_F(CallTraceTest, PromptsAndAnswersAreRecordedIfTheyAreAskedFor) {
  options_.records_content = true;
  Answer("the question");
  const trace::SpanRecord& attempt = *spans_.Named("chat m").at(0);
  EXPECT_EQ(ValueOf(attempt, trace::kGenAiInputMessages),
            R"([{"role":"user","parts":[{"type":"text","content":"the question"}]}])");
  EXPECT_THAT(ValueOf(attempt, trace::kGenAiOutputMessages), HasSubstr("an answer"));
}

TEST_F(CallTraceTest, PromptsAreCutToTheLimitAndStayJson) {
  options_.records_content = true;
  options_.text_bytes_max = 1000;
  const std::string prompt(5000, '"');
  world_.provider.usual = [](const HttpRequest&) { return Reaction{.body = std::string(5000, '\n') + "x"}; };
  Answer(prompt);
  const trace::SpanRecord& attempt = *spans_.Named("chat m").at(0);
  for (const char* key : {trace::kGenAiInputMessages, trace::kGenAiOutputMessages}) {
    const std::string text = ValueOf(attempt, key);
    EXPECT_LE(text.size(), 1000u);
    const StatusOr<json::value> messages = ParseJson(text);
    ASSERT_TRUE(messages.ok()) << text;
    EXPECT_GE(messages->at(size_t{0}).at("parts").at(size_t{0}).at("content").as_string().size(), 100u);
  }
}

TEST_F(CallTraceTest, AFailedAttemptSaysWhyAndHowLongToWait) {
  world_.provider.script = {{.latency = 5ms, .status = 429, .body = "", .headers = {{"Retry-After", "2"}}}};
  Answer("q");
  const trace::SpanRecord& attempt = *spans_.Named("chat m").at(0);
  EXPECT_TRUE(attempt.is_error);
  EXPECT_EQ(ValueOf(attempt, trace::kErrorType), "429");
  EXPECT_EQ(ValueOf(attempt, trace::kOutcome), "REJECTED");
  EXPECT_EQ(ValueOf(attempt, trace::kRetryAfterMs), "2000");
  ASSERT_THAT(spans_.Named("back off"), Not(IsEmpty()));
}

TEST_F(CallTraceTest, NoSpanHasTheSecret) {
  options_.records_content = true;
  world_.provider.script = {{.latency = 5ms, .status = 401, .body = "s3cret-key"}};
  Answer("q");
  for (const auto& each : spans_.kept) {
    EXPECT_THAT(each.span->error, Not(HasSubstr("s3cret-key")));
    for (const trace::Attribute& attribute : each.span->attributes) {
      EXPECT_THAT(ValueOf(*each.span, attribute.key), Not(HasSubstr("s3cret-key")));
    }
  }
}

TEST_F(CallTraceTest, WaitingForASlotIsASpan) {
  world_.config.mutable_models(0)->mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(1);
  bool is_done[2] = {false, false};
  Ask("q0", is_done[0]);
  Ask("q1", is_done[1]);
  ASSERT_TRUE(world_.RunUntil([&] { return is_done[0] && is_done[1]; }));
  ASSERT_THAT(spans_.Named("wait for a slot"), SizeIs(1));
  const trace::SpanRecord& waiting = *spans_.Named("wait for a slot")[0];
  EXPECT_GE(waiting.end - waiting.start, 50ms);
}

TEST_F(CallTraceTest, ARememberedAnswerAndAJoinedCallHaveNoAttempt) {
  bool is_done[2] = {false, false};
  Ask("q", is_done[0]);
  Ask("q", is_done[1]);
  ASSERT_TRUE(world_.RunUntil([&] { return is_done[0] && is_done[1]; }));
  EXPECT_THAT(spans_.Named("chat m"), SizeIs(1));
  std::vector<const trace::SpanRecord*> calls = spans_.Named("call writer");
  ASSERT_THAT(calls, SizeIs(2));
  EXPECT_EQ((ValueOf(*calls[0], trace::kCoalesced) == "true") + (ValueOf(*calls[1], trace::kCoalesced) == "true"), 1);
  EXPECT_EQ(ValueOf(*calls[0], trace::kCallKey), ValueOf(*calls[1], trace::kCallKey));
  spans_.kept.clear();
  Answer("q");
  EXPECT_EQ(spans_.Tree(), "item\n  call writer\n    look up\n    validate\n");
  EXPECT_EQ(ValueOf(*spans_.Named("call writer").at(0), trace::kCacheHit), "true");
}

TEST_F(CallTraceTest, TheAttemptsIdentityGoesToTheProvider) {
  Answer("q");
  const trace::SpanRecord& attempt = *spans_.Named("chat m").at(0);
  const std::string_view header = FindHeader(world_.provider.received.at(0).headers, "traceparent");
  const std::optional<trace::TraceContext> sent = trace::ReadTraceContext({header}, {});
  ASSERT_TRUE(sent.has_value()) << header;
  EXPECT_EQ(sent->span, attempt.id);
  EXPECT_EQ(sent->trace, spans_.last.trace);
  EXPECT_TRUE(sent->sampled);
}

TEST_F(CallTraceTest, NoIdentityIsSentIfPropagationIsOff) {
  options_.propagates = false;
  Answer("q");
  EXPECT_EQ(FindHeader(world_.provider.received.at(0).headers, "traceparent"), "");
}

TEST_F(CallTraceTest, TracingChangesNoDrawOfChance) {
  const auto starts = [](bool is_traced) {
    World world(5);
    for (int i = 0; i < 5; ++i) world.provider.script.push_back({.latency = 5ms, .status = 503, .body = ""});
    world.Restart();
    trace::KeptSpans spans;
    trace::Recorder recorder(world.clock, Random(1), spans, {});
    TracedCalls calls(world.calls());
    CallRequest request;
    request.model_alias = "writer";
    request.question.messages.push_back({"user", "q"});
    bool is_done = false;
    world.loop_->Spawn(AskTraced(calls, *world.store_, OfRun("r"), std::move(request),
                                 is_traced ? recorder.Begin({.name = "item"}) : trace::Span(), is_done));
    EXPECT_TRUE(world.RunUntil([&] { return is_done; }));
    std::vector<TimePoint> times;
    for (const Provider::Received& each : world.provider.received) times.push_back(each.time);
    world.Crash();
    return times;
  };
  EXPECT_EQ(starts(true), starts(false));
}

}  // namespace
}  // namespace millrace
