// The spans of RPCs.
#include <gmock/gmock.h>

#include <array>

#include "server/trace/names.h"
#include "tests/api/server_fixture.h"
#include "tests/trace/kept_spans.h"

namespace millrace {
namespace {

using testing::SizeIs;
using trace::ValueOf;

constexpr char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class RpcTraceTest : public testing::Test {
 protected:
  // Asks for a run, with these headers besides the usual ones.
  grpc::Status GetRun(const std::vector<std::pair<std::string, std::string>>& metadata = {}) {
    grpc::ClientContext context;
    for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
    v1::GetRunResponse response;
    return v1::RunService::NewStub(channel_)->GetRun(&context, {}, &response);
  }
  // Runs a function that looks at the spans, on the thread that makes them.
  void Look(const std::function<void()>& look) { served_.on.Do(look); }

  SystemClock clock_;
  trace::KeptSpans spans_;
  trace::Recorder recorder_{clock_, Random(1), spans_, {}};
  Served served_{{.tracer = &recorder_}};
  const std::shared_ptr<grpc::Channel> channel_ = Connect(served_.target());
};

TEST_F(RpcTraceTest, ARequestIsASpanBelowThatOfItsClient) {
  EXPECT_TRUE(GetRun({{"traceparent", kParent}, {"tracestate", "a=1"}}).ok());
  Look([this] {
    ASSERT_THAT(spans_.kept, SizeIs(1));
    const trace::SpanRecord& span = *spans_.kept[0].span;
    EXPECT_EQ(trace::NameOf(span), "millrace.v1.RunService/GetRun");
    EXPECT_EQ(span.kind, trace::SpanKind::kServer);
    EXPECT_EQ(trace::Hex(spans_.kept[0].trace), "0af7651916cd43dd8448eb211c80319c");
    EXPECT_EQ(trace::Hex(span.parent), "b7ad6b7169203331");
    EXPECT_TRUE(span.is_parent_remote);
    EXPECT_EQ(spans_.last.state, "a=1");
    EXPECT_EQ(ValueOf(span, trace::kRpcSystem), "grpc");
    EXPECT_EQ(ValueOf(span, trace::kRpcMethod), "millrace.v1.RunService/GetRun");
    EXPECT_EQ(ValueOf(span, trace::kRpcStatus), "OK");
    EXPECT_EQ(served_.on.apis.last_context.trace.span, span.id) << "what the request does is below it";
  });
}

TEST_F(RpcTraceTest, ARequestWithoutAValidParentBeginsATrace) {
  EXPECT_TRUE(GetRun().ok());
  EXPECT_TRUE(GetRun({{"traceparent", kParent}, {"traceparent", kParent}}).ok());
  EXPECT_TRUE(GetRun({{"traceparent", "00-what"}, {"tracestate", "a=1"}}).ok());
  Look([this] {
    ASSERT_THAT(spans_.kept, SizeIs(3));
    for (const auto& each : spans_.kept) EXPECT_EQ(each.span->parent, 0u);
    EXPECT_NE(spans_.kept[0].trace, spans_.kept[1].trace);
    EXPECT_EQ(spans_.last.state, "");
  });
}

TEST_F(RpcTraceTest, ARequestThatItsClientDoesNotSampleIsNotRecorded) {
  EXPECT_TRUE(GetRun({{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}}).ok());
  Look([this] { EXPECT_THAT(spans_.kept, SizeIs(0)); });
}

TEST_F(RpcTraceTest, OnlyTheServersFaultsAreErrors) {
  Look([this] { served_.on.apis.errors["GetRun"] = MakeError(Reason::kRunNotFound, "no such run"); });
  EXPECT_FALSE(GetRun().ok());
  Look([this] { served_.on.apis.errors["GetRun"] = MakeError(Reason::kInternal, "a bug"); });
  EXPECT_FALSE(GetRun().ok());
  Look([this] {
    ASSERT_THAT(spans_.kept, SizeIs(2));
    EXPECT_FALSE(spans_.kept[0].span->is_error);
    EXPECT_EQ(ValueOf(*spans_.kept[0].span, trace::kRpcStatus), "NOT_FOUND");
    EXPECT_EQ(ValueOf(*spans_.kept[0].span, trace::kErrorType), "RUN_NOT_FOUND");
    EXPECT_TRUE(spans_.kept[1].span->is_error);
    EXPECT_EQ(spans_.kept[1].span->error, "a bug");
  });
}

TEST_F(RpcTraceTest, SlowAnswersAreKeptThoughTheyAreNotSampled) {
  trace::KeptSpans spans;
  trace::Recorder recorder(clock_, Random(1), spans, {.sampler = {.ratio = 0}, .slow_after = Duration(1)});
  Served served({.tracer = &recorder});
  served.on.Do([&served] { served.on.apis.answer = v1::GenerateResponse(); });
  const std::shared_ptr<grpc::Channel> channel = Connect(served.target());
  const auto completions = v1::CompletionService::NewStub(channel);
  v1::GetRunResponse run;
  v1::GenerateResponse generated;
  v1::EmbedResponse embedded;
  std::array<grpc::ClientContext, 4> contexts;
  (void)v1::RunService::NewStub(channel)->GetRun(&contexts[0], {}, &run);
  (void)completions->Generate(&contexts[1], {}, &generated);
  (void)completions->Embed(&contexts[2], {}, &embedded);
  const auto stream = completions->StreamGenerate(&contexts[3], {});
  v1::StreamGenerateResponse event;
  while (stream->Read(&event)) continue;
  (void)stream->Finish();
  served.on.Do([&spans] {
    EXPECT_THAT(spans.Names(), testing::UnorderedElementsAre("millrace.v1.CompletionService/Generate",
                                                             "millrace.v1.CompletionService/Embed",
                                                             "millrace.v1.CompletionService/StreamGenerate"));
  });
}

TEST_F(RpcTraceTest, AStreamIsOneSpan) {
  grpc::ClientContext context;
  const auto stream = v1::RunService::NewStub(channel_)->WatchRun(&context, {});
  v1::WatchRunResponse response;
  while (stream->Read(&response)) continue;
  EXPECT_TRUE(stream->Finish().ok());
  Look([this] {
    ASSERT_THAT(spans_.kept, SizeIs(1));
    EXPECT_EQ(trace::NameOf(*spans_.kept[0].span), "millrace.v1.RunService/WatchRun");
  });
}

}  // namespace
}  // namespace millrace
