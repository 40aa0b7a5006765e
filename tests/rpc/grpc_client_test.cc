// RPCs against a real gRPC server on this machine.
#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "server/http/url.h"
#include "server/http/whole_body.h"
#include "server/rpc/grpc_client.h"
#include "tests/http/identity.h"
#include "tests/http/toxic_server.h"
#include "tests/rpc/peer.h"
#include "tests/rpc/relay.h"

namespace millrace {
namespace {

namespace peer = backend::v1;
using testing::AnyOf;
using testing::HasSubstr;
using Writer = Peer::Writer;

constexpr size_t kBytesMax = 1u << 20;
constexpr char kGenerate[] = "/millrace.backend.v1.BackendService/Generate";

std::string UrlOf(const Peer& peer) { return "grpc://" + peer.address() + kGenerate; }

std::string Prefix(size_t size) {
  std::string prefix(1, '\0');
  for (const int shift : {24, 16, 8, 0}) prefix.push_back(static_cast<char>(size >> shift));
  return prefix;
}

// Fails all requests.
class NoHttp final : public HttpClient {
 public:
  Task<HttpResult> Send(HttpRequest request, HttpLimits, HttpSink&) override {
    HttpResult result;
    result.error = "by HTTP: " + request.url;
    co_return result;
  }
};

// Ends the request with the first bytes.
class EndingSink final : public HttpSink {
 public:
  Task<bool> Head(int, HttpHeaders) override { co_return true; }
  Task<bool> Body(std::string) override { co_return false; }
};

class GrpcClientTest : public testing::Test {
 protected:
  ~GrpcClientTest() override {
    client_.reset();
    loop_.Abandon();
  }

  HttpResult Send(const std::string& url, HttpSink& sink, HttpLimits limits = {}, HttpHeaders headers = {}) {
    peer::GenerateRequest question;
    question.set_model("m");
    HttpRequest request{
        .method = "POST", .url = url, .headers = std::move(headers), .body = question.SerializeAsString()};
    if (limits.body_bytes_max > kBytesMax) limits.body_bytes_max = kBytesMax;
    HttpResult result;
    loop_.Spawn(SendOne(*client_, loop_, std::move(request), std::move(limits), sink, result));
    loop_.Run();
    return result;
  }
  HttpResult Send(const std::string& url, HttpLimits limits = {}, HttpHeaders headers = {}) {
    body_ = {};
    return Send(url, body_, std::move(limits), std::move(headers));
  }
  // Sends a request to a peer that ends every RPC with this status.
  HttpResult Refused(grpc::Status status) {
    Peer peer([&](auto&, auto&, Writer&) { return status; });
    return Send(UrlOf(peer));
  }

  static Task<void> SendOne(HttpClient& client, Loop& loop, HttpRequest request, HttpLimits limits, HttpSink& sink,
                            HttpResult& result) {
    result = co_await client.Send(std::move(request), std::move(limits), sink);
    loop.Stop();
  }

  SystemClock clock_;
  Loop loop_{clock_};
  NoHttp http_;
  std::unique_ptr<HttpClient> client_ = MakeGrpcClient(loop_, http_, {.response_bytes_max = kBytesMax, .roots = {}});
  WholeBody body_;
};

grpc::Status Streams(Writer& writer, const std::vector<std::string>& deltas) {
  for (const std::string& delta : deltas) {
    peer::GenerateResponse response;
    response.set_delta(delta);
    writer.Write(response);
  }
  return grpc::Status::OK;
}

// Waits until the client has left.
grpc::Status Hang(grpc::ServerContext& context) {
  while (!context.IsCancelled()) std::this_thread::yield();
  return grpc::Status::CANCELLED;
}

TEST_F(GrpcClientTest, MessagesAreABodyAndHeadersAreMetadata) {
  std::string seen;
  Peer peer([&](grpc::ServerContext& context, const peer::GenerateRequest& request, Writer& writer) {
    seen = request.model();
    for (const char* key : {"authorization", "traceparent"}) {
      const auto found = context.client_metadata().find(key);
      if (found != context.client_metadata().end())
        seen += " " + std::string(found->second.data(), found->second.size());
    }
    context.AddInitialMetadata("x-id", "7");
    return Streams(writer, {"a", "", "é"});
  });
  for (int i = 0; i < 3; ++i) {
    const HttpResult result = Send(UrlOf(peer), {}, {{"Authorization", "Bearer t"}, {"traceparent", "00-1"}});
    EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(FindHeader(body_.headers, "x-id"), "7");
    EXPECT_EQ(body_.body,
              Prefix(3) + "\x0a\x01" + "a" + Prefix(2) + std::string("\x0a\0", 2) + Prefix(4) + "\x0a\x02é");
    EXPECT_EQ(seen, "m Bearer t 00-1");
  }
}

TEST_F(GrpcClientTest, OtherRequestsAreSentByHttp) { EXPECT_EQ(Send("http://x/").error, "by HTTP: http://x/"); }

TEST_F(GrpcClientTest, ARefusalIsAResponseOfTheSameMeaning) {
  using grpc::StatusCode;
  for (const auto& [code, status] : {std::pair{StatusCode::INVALID_ARGUMENT, 400},
                                     {StatusCode::UNAUTHENTICATED, 401},
                                     {StatusCode::PERMISSION_DENIED, 403},
                                     {StatusCode::NOT_FOUND, 404},
                                     {StatusCode::UNIMPLEMENTED, 404},
                                     {StatusCode::RESOURCE_EXHAUSTED, 429},
                                     {StatusCode::INTERNAL, 500},
                                     {StatusCode::CANCELLED, 500},
                                     {StatusCode::UNAVAILABLE, 503},
                                     {StatusCode::DEADLINE_EXCEEDED, 504}}) {
    const HttpResult result = Refused({code, "no ü"});
    EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
    EXPECT_EQ(result.status, status);
    EXPECT_THAT(body_.body, HasSubstr(": no ü"));
  }
  for (const char* words :
       {"grpc: received message larger than max (9 vs. 4)", "gRPC message exceeds maximum size 4: 9",
        "Received message exceeds the maximum configured message size."}) {
    EXPECT_EQ(Refused({StatusCode::RESOURCE_EXHAUSTED, words}).status, 413) << words;
  }
}

TEST_F(GrpcClientTest, AWaitThatTheServerAsksForIsAHeader) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(2);
  info.mutable_retry_delay()->set_nanos(500'000'000);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  const HttpResult result = Refused({grpc::StatusCode::RESOURCE_EXHAUSTED, "slower", details.SerializeAsString()});
  EXPECT_EQ(result.status, 429);
  EXPECT_EQ(FindHeader(body_.headers, "retry-after-ms"), "2500");
}

TEST_F(GrpcClientTest, WithoutAConnectionNothingIsSent) {
  std::string url;
  {
    const Peer peer([](auto&, auto&, Writer&) { return grpc::Status::OK; });
    url = UrlOf(peer);
  }
  const HttpResult result = Send(url);
  EXPECT_EQ(result.outcome, HttpOutcome::kNotSent);
  EXPECT_THAT(result.error, HasSubstr("no connection"));
  EXPECT_EQ(Send("grpc://127.0.0.1:0/x").outcome, HttpOutcome::kNotSent);
  EXPECT_EQ(Send(url, {}, {{"a b", "c"}}).error, "a header can't be sent as metadata of gRPC");
  EXPECT_EQ(Send(url, {}, {{"a", "b\n"}}).error, "a header can't be sent as metadata of gRPC");
}

TEST_F(GrpcClientTest, AServerThatDoesNotSpeakGrpcGetsNothing) {
  ToxicServer http([](ToxicConnection& connection, int) {
    connection.Write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    connection.WaitForClose();
  });
  ToxicServer noise([](ToxicConnection& connection, int) { connection.Write(std::string(3000, '\xff')); });
  ToxicServer closes([](ToxicConnection& connection, int) { connection.Close(); });
  for (const ToxicServer* server : {&http, &noise, &closes}) {
    const HttpResult result = Send("grpc://127.0.0.1:" + std::to_string(server->port()) + kGenerate);
    EXPECT_EQ(result.outcome, HttpOutcome::kNotSent);
    EXPECT_THAT(result.error, HasSubstr("no connection: "));
    EXPECT_FALSE(result.no_such_host);
  }
  // Time for a handshake is limited by the request alone.
  ToxicServer silent([](ToxicConnection& connection, int) { connection.WaitForClose(); });
  HttpLimits limits;
  limits.connect = std::chrono::milliseconds(300);
  const HttpResult result = Send("grpc://127.0.0.1:" + std::to_string(silent.port()) + kGenerate, limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kNotSent);
  EXPECT_EQ(result.error, "no connection within the time limit");
}

TEST_F(GrpcClientTest, ConnectionsAreEncryptedForTrustedServersOnly) {
  const Identity identity("localhost");
  const Identity other("other.example");
  const auto answers = [](auto&, auto&, Writer& writer) { return Streams(writer, {"a"}); };
  Peer trusted(answers, {.credentials = Peer::Tls(identity)});
  Peer untrusted(answers, {.credentials = Peer::Tls(Identity("localhost"))});
  Peer misnamed(answers, {.credentials = Peer::Tls(other)});
  Peer plain(answers);
  const auto url = [](const Peer& peer) { return "grpcs://localhost:" + std::to_string(peer.port()); };
  GrpcClientOptions options;
  for (const Peer* peer : {&trusted, &untrusted, &plain}) options.roots[url(*peer)] = identity.CertificatePem();
  options.roots[url(misnamed)] = other.CertificatePem();
  client_ = MakeGrpcClient(loop_, http_, std::move(options));
  const HttpResult result = Send(url(trusted) + kGenerate);
  EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
  EXPECT_EQ(body_.body, Prefix(3) + "\x0a\x01" + "a");
  for (const Peer* peer : {&untrusted, &misnamed, &plain}) {
    const HttpResult refused = Send(url(*peer) + kGenerate);
    EXPECT_EQ(refused.outcome, HttpOutcome::kNotSent);
    EXPECT_THAT(refused.error, HasSubstr("no connection: "));
  }
}

TEST_F(GrpcClientTest, ARequestThatTheServerDoesNotTakeIsNotSent) {
  const auto stop = std::make_shared<StopSignal>(loop_);
  Peer peer(
      [&](grpc::ServerContext& context, auto&, Writer&) {
        loop_.Stop();  // the first has come
        return Hang(context);
      },
      {.streams_max = 1});
  HttpLimits limits;
  limits.stop = stop;
  HttpResult first;
  WholeBody first_body;
  loop_.Spawn(SendOne(*client_, loop_, {.method = "POST", .url = UrlOf(peer), .headers = {}, .body = ""}, limits,
                      first_body, first));
  loop_.Run();
  limits = {};
  limits.idle = std::chrono::milliseconds(20);
  const HttpResult second = Send(UrlOf(peer), limits);
  EXPECT_EQ(second.outcome, HttpOutcome::kNotSent);
  EXPECT_EQ(second.error, "the request was not taken within the time limit");
  loop_.Post([stop] { stop->Stop(); });
  loop_.Run();
  EXPECT_EQ(first.outcome, HttpOutcome::kCancelled);
}

TEST_F(GrpcClientTest, AfterATimeLimitTheNextRequestHasANewConnection) {
  std::vector<std::string> connections;
  bool hangs = true;
  Peer peer([&](grpc::ServerContext& context, auto&, Writer& writer) {
    connections.push_back(context.peer());
    return hangs ? Hang(context) : Streams(writer, {"a"});
  });
  HttpLimits limits;
  limits.first_byte = std::chrono::milliseconds(20);
  EXPECT_EQ(Send(UrlOf(peer), limits).error, "no answer within the time limit");
  hangs = false;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Send(UrlOf(peer)).outcome, HttpOutcome::kAnswered);
  ASSERT_EQ(connections.size(), 3u);
  EXPECT_NE(connections[0], connections[1]);
  EXPECT_EQ(connections[1], connections[2]);
}

TEST_F(GrpcClientTest, AnAnswerThatBreaksOffIsPartial) {
  Peer peer([](auto&, auto&, Writer& writer) {
    Streams(writer, {"a"});
    return grpc::Status(grpc::StatusCode::INTERNAL, "broken");
  });
  const HttpResult result = Send(UrlOf(peer));
  EXPECT_EQ(result.outcome, HttpOutcome::kPartial);
  EXPECT_THAT(result.error, HasSubstr("INTERNAL: broken"));
}

TEST_F(GrpcClientTest, TheOutcomeIsUnknownIfTheConnectionBreaks) {
  bool speaks = false;
  std::unique_ptr<Relay> relay;
  Peer peer([&](grpc::ServerContext& context, auto&, Writer& writer) {
    if (speaks) Streams(writer, {"a"});
    relay->Cut();
    return Hang(context);
  });
  relay = std::make_unique<Relay>(peer.port());
  const std::string url = "grpc://127.0.0.1:" + std::to_string(relay->port()) + kGenerate;
  HttpResult result = Send(url);
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown) << result.error;
  EXPECT_THAT(result.error, HasSubstr("UNAVAILABLE: "));
  speaks = true;
  do {
    result = Send(url);
  } while (result.outcome == HttpOutcome::kNotSent);  // the client has not noticed the end of the first connection
  EXPECT_THAT(result.outcome, AnyOf(HttpOutcome::kUnknown, HttpOutcome::kPartial)) << result.error;
}

TEST_F(GrpcClientTest, ARequestAboveTheServersLimitIsRefused) {
  Peer peer([](auto&, auto&, Writer& writer) { return Streams(writer, {"a"}); }, {.request_bytes_max = 100});
  HttpResult result;
  loop_.Spawn(SendOne(*client_, loop_,
                      {.method = "POST", .url = UrlOf(peer), .headers = {}, .body = std::string(101, 'x')}, {}, body_,
                      result));
  loop_.Run();
  EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
  EXPECT_EQ(result.status, 413);
}

TEST_F(GrpcClientTest, TimeLimitsEndAnRpc) {
  Peer silent([](grpc::ServerContext& context, auto&, Writer&) { return Hang(context); });
  HttpLimits limits;
  limits.first_byte = std::chrono::milliseconds(20);
  HttpResult result = Send(UrlOf(silent), limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown);
  EXPECT_EQ(result.error, "no answer within the time limit");
  limits = {};
  limits.deadline = loop_.Now() + std::chrono::milliseconds(20);
  result = Send(UrlOf(silent), limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown);
  EXPECT_EQ(result.error, "the total time limit passed");
  Peer stops([](grpc::ServerContext& context, auto&, Writer& writer) {
    Streams(writer, {"a"});
    return Hang(context);
  });
  limits = {};
  limits.idle = std::chrono::milliseconds(20);
  result = Send(UrlOf(stops), limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kPartial);
  EXPECT_EQ(result.error, "the answer stopped");
}

TEST_F(GrpcClientTest, ALargeAnswerIsCut) {
  Peer whole([](auto&, auto&, Writer& writer) { return Streams(writer, {std::string(2 * kBytesMax, 'x')}); });
  EXPECT_EQ(Send(UrlOf(whole)).outcome, HttpOutcome::kTooLarge);
  Peer second([](auto&, auto&, Writer& writer) { return Streams(writer, {"a", std::string(2 * kBytesMax, 'x')}); });
  EXPECT_EQ(Send(UrlOf(second)).outcome, HttpOutcome::kTooLarge);
  Peer pieces([](grpc::ServerContext& context, auto&, Writer& writer) {
    while (!context.IsCancelled()) Streams(writer, {std::string(10'000, 'x')});
    return grpc::Status::OK;
  });
  EXPECT_EQ(Send(UrlOf(pieces)).outcome, HttpOutcome::kTooLarge);
  EXPECT_LE(body_.body.size(), kBytesMax);
}

TEST_F(GrpcClientTest, TheStopSignalAndTheSinkEndAnRpc) {
  std::atomic<int> cancelled = 0;
  const auto stop = std::make_shared<StopSignal>(loop_);
  Peer peer([&](grpc::ServerContext& context, auto&, Writer& writer) {
    Streams(writer, {"a"});
    loop_.Post([stop] { stop->Stop(); });
    const grpc::Status status = Hang(context);
    ++cancelled;
    return status;
  });
  HttpLimits limits;
  limits.stop = stop;
  EXPECT_EQ(Send(UrlOf(peer), limits).outcome, HttpOutcome::kCancelled);
  EXPECT_EQ(Send(UrlOf(peer), limits).outcome, HttpOutcome::kCancelled) << "stopped before it began";
  EndingSink ends;
  EXPECT_EQ(Send(UrlOf(peer), ends).outcome, HttpOutcome::kEnded);
  while (cancelled < 2) std::this_thread::yield();
}

TEST_F(GrpcClientTest, AnRpcInFlightDoesNotOutliveTheClient) {
  std::atomic<bool> has_come = false;
  Peer peer([&](grpc::ServerContext& context, auto&, Writer&) {
    has_come = true;
    loop_.Stop();
    return Hang(context);
  });
  HttpResult result;
  loop_.Spawn(
      SendOne(*client_, loop_, {.method = "POST", .url = UrlOf(peer), .headers = {}, .body = ""}, {}, body_, result));
  loop_.Run();
  client_.reset();
  EXPECT_TRUE(has_come);
}

TEST(RpcUrlTest, TheOriginOfAnRpcIsNotThatOfHttp) {
  EXPECT_EQ(OriginOf("grpc://LocalHost:7001/a.B/C"), "grpc://localhost:7001");
  EXPECT_EQ(OriginOf("grpcs://h:7001/"), "grpcs://h:7001");
  EXPECT_EQ(OriginOf("grpc://h:0/"), "");
  EXPECT_EQ(OriginOf("grpcx://h:1/"), "");
}

}  // namespace
}  // namespace millrace
