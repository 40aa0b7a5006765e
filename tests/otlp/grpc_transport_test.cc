// The exporter over a real gRPC channel, against a small OTLP receiver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/otlp/exporter.h"
#include "server/trace/recorder.h"
#include "tests/otlp/receiver.h"

namespace millrace::otlp {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

class OverGrpcTest : public testing::Test {
 protected:
  OverGrpcTest() {
    options_.delay = 0ms;
    options_.backoff = 1ms;
    endpoint_.target = receiver_.address();
  }
  void Start() {
    auto transport = MakeGrpcTransport(endpoint_, "1.2.3");
    ASSERT_TRUE(transport.ok()) << transport.status();
    exporter_.emplace(clock_, Random(1), *std::move(transport), options_, Pairs{{"service.name", "s"}}, "1.2.3");
    recorder_.emplace(clock_, Random(2), *exporter_, trace::RecorderOptions{});
  }
  void MakeSpan(const char* name) { recorder_->Begin({.name = name}).End(); }

  SystemClock clock_;
  OtlpReceiver receiver_;
  Endpoint endpoint_;
  BatchOptions options_;
  std::optional<Exporter> exporter_;
  std::optional<trace::Recorder> recorder_;
};

TEST_F(OverGrpcTest, SpansCrossTheWire) {
  endpoint_.headers = {{"api-key", "k"}};
  endpoint_.gzip = true;
  Start();
  trace::Span root = recorder_->Begin({.name = "item",
                                       .label = "\xff"
                                                "a"});
  const trace::TraceContext context = root.context();
  {
    trace::Span child(root.ref(), "attempt", trace::SpanKind::kClient, "gpt");
    child.Set("b", true);
    child.Set("i", int64_t{-1});
    child.Set("d", 0.5);
    child.Set("t", "text");
    child.Set("t", "newer text");
    child.Set("l", std::vector<std::string>{"x", "y"});
    child.AddEvent("event", {{"n", int64_t{1}}});
    child.AddLink(root.ref());
    child.Fail("timeout", "too late");
  }
  root.End();
  ASSERT_TRUE(receiver_.Await([](const auto& spans) { return spans.size() == 2; }));
  const auto spans = receiver_.spans();
  const auto& item = spans[0];
  const auto& attempt = spans[1];
  EXPECT_EQ(item.name(),
            "item \xef\xbf\xbd"
            "a");
  EXPECT_EQ(item.trace_id(), trace::Bytes(context.trace));
  EXPECT_EQ(item.span_id(), trace::Bytes(context.span));
  EXPECT_EQ(item.parent_span_id(), "");
  EXPECT_EQ(item.flags(), 0x101u);
  EXPECT_EQ(attempt.name(), "attempt gpt");
  EXPECT_EQ(attempt.kind(), OtlpReceiver::Span::SPAN_KIND_CLIENT);
  EXPECT_EQ(attempt.parent_span_id(), item.span_id());
  EXPECT_GE(attempt.start_time_unix_nano(), item.start_time_unix_nano());
  EXPECT_LE(attempt.end_time_unix_nano(), item.end_time_unix_nano());
  EXPECT_NEAR(static_cast<double>(item.end_time_unix_nano()), 1e3 * static_cast<double>(clock_.WallMicros()), 60e9);
  ASSERT_EQ(attempt.attributes_size(), 6);  // with error.type; a key occurs once
  EXPECT_TRUE(attempt.attributes(0).value().bool_value());
  EXPECT_EQ(attempt.attributes(1).value().int_value(), -1);
  EXPECT_EQ(attempt.attributes(2).value().double_value(), 0.5);
  EXPECT_EQ(attempt.attributes(3).value().string_value(), "newer text");
  EXPECT_EQ(attempt.attributes(4).value().array_value().values_size(), 2);
  EXPECT_EQ(attempt.attributes(5).key(), "error.type");
  EXPECT_EQ(attempt.status().message(), "too late");
  EXPECT_EQ(attempt.status().code(), opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  EXPECT_EQ(attempt.events(0).name(), "event");
  EXPECT_EQ(attempt.links(0).span_id(), item.span_id());
  EXPECT_THAT(receiver_.metadata(), Contains(Pair("api-key", "k")));
  EXPECT_THAT(receiver_.metadata(), Contains(Pair("user-agent", HasSubstr("OTel-OTLP-Exporter-Millrace/1.2.3"))));
}

TEST_F(OverGrpcTest, AThrottledRequestIsSentAgainAfterTheDelayThatTheReceiverAsksFor) {
  int requests = 0;
  receiver_.reaction = [&requests](grpc::ServerContext&, const auto&, auto&) {
    if (++requests > 1) return grpc::Status::OK;
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_nanos(1'000'000);
    google::rpc::Status details;
    details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
    details.add_details()->PackFrom(info);
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "slow down", details.SerializeAsString());
  };
  Start();
  MakeSpan("a");
  ASSERT_TRUE(receiver_.Await([](const auto& spans) { return spans.size() == 1; }));
  exporter_->Stop(1min);
  EXPECT_EQ(exporter_->figures().exported, 1);
}

TEST_F(OverGrpcTest, RejectedSpansAreCounted) {
  receiver_.reaction = [](grpc::ServerContext&, const auto&, OtlpReceiver::Response& response) {
    response.mutable_partial_success()->set_rejected_spans(1);
    response.mutable_partial_success()->set_error_message("too old");
    return grpc::Status::OK;
  };
  Start();
  MakeSpan("a");
  exporter_->Stop(1min);
  EXPECT_EQ(exporter_->figures().dropped_rejected, 1);
}

TEST_F(OverGrpcTest, AReceiverThatIsNotThereOrWrongCostsSpansOnly) {
  options_.timeout = 100ms;
  endpoint_.target = "127.0.0.1:1";  // nobody listens
  Start();
  MakeSpan("a");
  exporter_->Stop(1min);
  EXPECT_EQ(exporter_->figures().dropped_failed, 1);
}

TEST_F(OverGrpcTest, AReceiverThatDoesNotAnswerIsGivenUpAtTheTimeout) {
  options_.timeout = 50ms;
  std::promise<void> over;
  receiver_.reaction = [waiting = over.get_future().share()](grpc::ServerContext&, const auto&, auto&) {
    waiting.wait();
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
  };
  Start();
  MakeSpan("a");
  exporter_->Stop(1min);
  over.set_value();
  EXPECT_EQ(exporter_->figures().dropped_failed, 1);
}

TEST_F(OverGrpcTest, AReceiverThatComesBackGetsTheNextSpans) {
  options_.timeout = 20s;
  options_.backoff = 50ms;
  auto first = std::make_unique<OtlpReceiver>();
  const int port = first->port();
  endpoint_.target = first->address();
  Start();
  MakeSpan("a");
  ASSERT_TRUE(first->Await([](const auto& spans) { return spans.size() == 1; }));
  first.reset();
  MakeSpan("b");
  OtlpReceiver second(port);
  ASSERT_EQ(second.port(), port);
  ASSERT_TRUE(second.Await([](const auto& spans) { return spans.size() == 1; }));
  exporter_->Stop(1min);
  EXPECT_EQ(exporter_->figures().exported, 2);
  EXPECT_EQ(exporter_->figures().dropped, 0);
}

TEST_F(OverGrpcTest, CertificatesThatCannotBeReadAreAnError) {
  endpoint_.tls = true;
  endpoint_.roots_file = "/nowhere/roots.pem";
  EXPECT_FALSE(MakeGrpcTransport(endpoint_, "1").ok());
}

}  // namespace
}  // namespace millrace::otlp
