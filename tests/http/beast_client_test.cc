#include "server/http/beast_client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>

#include "tests/http/sending.h"
#include "tests/http/toxic_server.h"

namespace millrace {

std::ostream& operator<<(std::ostream& out, HttpOutcome outcome) {
  constexpr const char* kNames[] = {"answered", "not sent", "unknown", "partial", "too large", "cancelled", "ended"};
  return out << kNames[static_cast<int>(outcome)];
}

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::HasSubstr;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

// Server that reads one request of each connection, answers with these bytes and closes.
ToxicServer::Serve Answer(std::string bytes) {
  return [bytes](ToxicConnection& connection, int) {
    if (!connection.ReadRequest().empty()) connection.Write(bytes);
  };
}

TEST(BeastClientTest, SendsOneRequestAndReadsItsAnswer) {
  std::string seen;
  ToxicServer server([&](ToxicConnection& connection, int) {
    seen = connection.ReadRequest();
    connection.Write("HTTP/1.1 201 Made\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nhello");
    connection.WaitForClose();
  });
  Sender sender;
  const Sent result = sender.Send(server.url("/v1/x?y=%20"), R"({"a":1})");
  EXPECT_EQ(result.outcome, HttpOutcome::kAnswered);
  EXPECT_EQ(result.status, 201);
  EXPECT_EQ(result.body, "hello");
  EXPECT_EQ(FindHeader(result.headers, "CONTENT-length"), "5");
  EXPECT_EQ(FindHeader(result.headers, "absent"), "");
  EXPECT_EQ(result.bytes_sent, seen.size());
  EXPECT_EQ(result.bytes_received, 61u);
  EXPECT_EQ(seen, fmt::format("POST /v1/x?y=%20 HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept-Encoding: "
                              "identity\r\nContent-Type: application/json\r\n"
                              "Content-Length: 7\r\n\r\n{{\"a\":1}}",
                              server.port()));
}

TEST(BeastClientTest, ReadsBodiesInChunksAndUntilTheConnectionCloses) {
  ToxicServer chunked(
      Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"));
  ToxicServer closing(Answer("HTTP/1.0 200 OK\r\n\r\nuntil the end"));
  ToxicServer empty(Answer("HTTP/1.1 204 No Content\r\n\r\n"));
  Sender sender;
  EXPECT_EQ(sender.Send(chunked.url()).body, "abcde");
  EXPECT_EQ(sender.Send(closing.url()).body, "until the end");
  const Sent result = sender.Send(empty.url());
  EXPECT_EQ(result.outcome, HttpOutcome::kAnswered);
  EXPECT_EQ(result.status, 204);
}

TEST(BeastClientTest, SendsNothingIfItCannotConnect) {
  Sender sender;
  for (const std::string& url :
       {fmt::format("http://127.0.0.1:{}/", ClosedPort()), std::string("http://nowhere.invalid/"),
        std::string("ftp://x/"), std::string("/path"), std::string("http://u:p@127.0.0.1/")}) {
    const Sent result = sender.Send(url);
    EXPECT_EQ(result.outcome, HttpOutcome::kNotSent) << url;
    EXPECT_EQ(result.bytes_sent, 0u);
    EXPECT_NE(result.error, "");
    EXPECT_THAT(result.error, testing::Not(HasSubstr("u:p")));
  }
  HttpRequest request;
  request.url = "http://127.0.0.1:1/";
  request.headers = {{"X", "a\r\nInjected: b"}};
  EXPECT_EQ(sender.Send(request).error, "a header has a line break");
}

TEST(BeastClientTest, TheOutcomeIsUnknownWithoutAStatusLine) {
  ToxicServer closes([](ToxicConnection& connection, int) { connection.ReadRequest(); });
  ToxicServer resets([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Reset();
  });
  ToxicServer half(Answer("HTTP/1.1 20"));
  ToxicServer garbage(Answer("\x16\x03\x01 what is this?\r\n\r\n"));
  Sender sender;
  for (const ToxicServer* server : {&closes, &resets, &half, &garbage}) {
    const Sent result = sender.Send(server->url());
    EXPECT_EQ(result.outcome, HttpOutcome::kUnknown) << result.error;
    EXPECT_EQ(result.status, 0);
    EXPECT_GT(result.bytes_sent, 0u);
    EXPECT_EQ(server->requests(), 1);
  }
}

TEST(BeastClientTest, AnAnswerThatEndsEarlyIsPartial) {
  ToxicServer cut(Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  ToxicServer chunk(Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"));
  ToxicServer stalls([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\n\r\nhalf");
    connection.WaitForClose();
  });
  ToxicServer resets([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(500'000, 'x'));
    connection.Reset();
  });
  Sender sender;
  for (const ToxicServer* server : {&cut, &chunk}) {
    const Sent result = sender.Send(server->url());
    EXPECT_EQ(result.outcome, HttpOutcome::kPartial) << result.error;
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(result.body, "half");
  }
  HttpLimits limits;
  limits.idle = 50ms;
  const Sent stalled = sender.Send(stalls.url(), "{}", limits);
  EXPECT_EQ(stalled.outcome, HttpOutcome::kPartial);
  EXPECT_EQ(stalled.error, "the answer stopped coming");
  // A reset may discard bytes that were sent before it, even the head.
  const Sent reset = sender.Send(resets.url());
  EXPECT_EQ(reset.outcome, reset.status == 0 ? HttpOutcome::kUnknown : HttpOutcome::kPartial);
}

TEST(BeastClientTest, EndsARequestAtEachTimeLimit) {
  ToxicServer silent([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.WaitForClose();
  });
  ToxicServer drips([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (connection.Write("x")) {
    }
  });
  Sender sender;
  HttpLimits limits;
  limits.first_byte = 30ms;
  Sent result = sender.Send(silent.url(), "{}", limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown);
  EXPECT_EQ(result.error, "the answer's first byte took too long");
  limits.first_byte = 10s;
  limits.deadline = sender.loop().Now() + 30ms;
  result = sender.Send(silent.url(), "{}", limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown);
  EXPECT_EQ(result.error, "the total time limit passed");
  limits.deadline = sender.loop().Now() - 1ms;
  EXPECT_EQ(sender.Send(silent.url(), "{}", limits).outcome, HttpOutcome::kNotSent);
  limits.deadline = kNever;
  EXPECT_EQ(sender.Send(drips.url(), "{}", limits).outcome, HttpOutcome::kAnswered);
}

TEST(BeastClientTest, CutsAnAnswerAtItsLimit) {
  std::string mebibyte(1 << 20, 'x');
  ToxicServer endless([&](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "100000\r\n" + mebibyte + "\r\n";
    for (int i = 0; i < 10'000 && connection.Write(chunk); ++i) {
    }
  });
  ToxicServer announced(Answer("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\nxx"));
  ToxicServer headers([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\n");
    while (connection.Write("X-Y: zzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n")) {
    }
  });
  Sender sender;
  HttpLimits limits;
  limits.body_bytes_max = 3 << 20;
  const Sent cut = sender.Send(endless.url(), "{}", limits);
  EXPECT_EQ(cut.outcome, HttpOutcome::kTooLarge);
  EXPECT_LE(cut.bytes_received, limits.body_bytes_max + (64 << 10));
  EXPECT_EQ(sender.Send(announced.url(), "{}", limits).outcome, HttpOutcome::kTooLarge);
  const Sent flood = sender.Send(headers.url(), "{}", limits);
  EXPECT_EQ(flood.outcome, HttpOutcome::kTooLarge);
  EXPECT_LE(flood.bytes_received, limits.header_bytes_max + (64 << 10));
}

TEST(BeastClientTest, SkipsALimitedNumberOfInterimAnswers) {
  ToxicServer few(Answer(std::string("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n") + kOk));
  ToxicServer flood([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    while (connection.Write("HTTP/1.1 102 Processing\r\n\r\n")) {
    }
  });
  Sender sender;
  EXPECT_EQ(sender.Send(few.url()).body, "hi");
  const Sent result = sender.Send(flood.url());
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown);
  EXPECT_THAT(result.error, HasSubstr("interim"));
}

TEST(BeastClientTest, FollowsNoRedirect) {
  ToxicServer target(Answer(kOk));
  ToxicServer server(
      Answer("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + target.url() + "\r\nContent-Length: 0\r\n\r\n"));
  Sender sender;
  EXPECT_EQ(sender.Send(server.url()).status, 307);
  EXPECT_EQ(target.connections(), 0);
}

TEST(BeastClientTest, ReusesAConnection) {
  ToxicServer server([](ToxicConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Write(kOk);
  });
  Sender sender;
  EXPECT_FALSE(sender.Send(server.url()).reused_connection);
  EXPECT_TRUE(sender.Send(server.url()).reused_connection);
  EXPECT_TRUE(sender.Send(server.url()).reused_connection);
  EXPECT_EQ(server.connections(), 1);
}

TEST(BeastClientTest, OpensANewConnectionIfTheOldOneIsClosedOrHasSentMore) {
  std::atomic<int> closed = 0;
  ToxicServer closing([&](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write(kOk);
    connection.Close();
    ++closed;
    closed.notify_all();
  });
  ToxicServer talking([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write(std::string(kOk) + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
    connection.WaitForClose();
  });
  ToxicServer asking(Answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
  Sender sender;
  for (const ToxicServer* server : {&closing, &talking, &asking}) {
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(sender.Send(server->url()).outcome, HttpOutcome::kAnswered);
      if (server == &closing) closed.wait(i);  // a close during the next request would look like a crash
    }
    EXPECT_EQ(server->requests(), 5);
  }
  BeastClientOptions options;
  options.idle_max = Duration(0);
  Sender hasty(options);
  ToxicServer server([](ToxicConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Write(kOk);
  });
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(hasty.Send(server.url()).reused_connection);
}

// This is why we have our own client: libcurl would send the request again on a new connection.
TEST(BeastClientTest, NeverSendsTwiceWhenAReusedConnectionDies) {
  ToxicServer server([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write(kOk);
    connection.ReadRequest();  // reads the whole second request and sends no byte of an answer
  });
  Sender sender;
  ASSERT_EQ(sender.Send(server.url()).outcome, HttpOutcome::kAnswered);
  const Sent result = sender.Send(server.url());
  EXPECT_EQ(result.outcome, HttpOutcome::kUnknown);
  EXPECT_TRUE(result.reused_connection);
  EXPECT_EQ(server.requests(), 2);
  EXPECT_EQ(server.connections(), 1);
}

TEST(BeastClientTest, EndsARequestThatItsCallerStops) {
  Sender sender;
  HttpLimits limits;
  limits.stop = std::make_shared<StopSignal>(sender.loop());
  ToxicServer server([&](ToxicConnection& connection, int) {
    connection.ReadRequest();
    sender.loop().Post([&] { limits.stop->Stop(); });
    connection.WaitForClose();
  });
  const Sent result = sender.Send(server.url(), "{}", limits);
  EXPECT_EQ(result.outcome, HttpOutcome::kCancelled);
  EXPECT_GT(result.bytes_sent, 0u);
  EXPECT_EQ(sender.Send(server.url(), "{}", limits).bytes_sent, 0u);
  EXPECT_EQ(server.requests(), 1);
}

// Sink that hands each piece to a function, which says if it wants more.
class EachPiece final : public HttpSink {
 public:
  using Take = std::function<bool(const std::string&)>;
  explicit EachPiece(Take take) : take_(std::move(take)) {}
  Task<bool> Head(int status, HttpHeaders) override { co_return take_(std::to_string(status)); }
  Task<bool> Body(std::string bytes) override { co_return take_(bytes); }

 private:
  const Take take_;
};

TEST(BeastClientTest, GivesAnAnswerAsItComes) {
  std::atomic<int> taken = 0;
  ToxicServer server([&](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    taken.wait(0);
    for (int i = 1; i < 4; ++i) {
      connection.Write("2\r\nab\r\n");
      taken.wait(i);  // the piece must come before the next one is sent
    }
    connection.Write("0\r\n\r\n");
    connection.WaitForClose();
  });
  std::string seen;
  EachPiece sink([&](const std::string& piece) {
    seen += piece + "|";
    ++taken;
    taken.notify_all();
    return true;
  });
  Sender sender;
  HttpRequest request;
  request.url = server.url();
  const HttpResult result = sender.Send(std::move(request), {}, sink);
  EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
  EXPECT_EQ(seen, "200|ab|ab|ab|");
}

TEST(BeastClientTest, ClosesTheConnectionIfTheSinkEndsTheAnswer) {
  ToxicServer server([&](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\n\r\nenough");
    connection.WaitForClose();  // comes only if the client closes
  });
  Sender sender;
  for (const std::string_view last : {"200", "enough"}) {
    EachPiece sink([&](const std::string& piece) { return piece != last; });
    HttpRequest request;
    request.url = server.url();
    const HttpResult result = sender.Send(std::move(request), {}, sink);
    EXPECT_EQ(result.outcome, HttpOutcome::kEnded);
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(result.error, "");
  }
  EXPECT_EQ(server.connections(), 2);
}

TEST(BeastClientTest, KeepsTheConnectionIfTheSinkEndsACompleteAnswer) {
  ToxicServer server([](ToxicConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Write(kOk);
  });
  Sender sender;
  for (const bool reused : {false, true}) {
    EachPiece sink([](const std::string& piece) { return piece != "hi"; });
    HttpRequest request;
    request.url = server.url();
    const HttpResult result = sender.Send(std::move(request), {}, sink);
    EXPECT_EQ(result.outcome, HttpOutcome::kEnded);
    EXPECT_EQ(result.reused_connection, reused);
  }
}

// Sink that takes longer for the head than the connection may be idle.
class SlowSink final : public HttpSink {
 public:
  SlowSink(Loop& loop, std::atomic<bool>& is_ready) : loop_(loop), is_ready_(is_ready) {}
  Task<bool> Head(int, HttpHeaders) override {
    co_await loop_.Sleep(350ms);
    is_ready_ = true;
    is_ready_.notify_all();
    co_return true;
  }
  Task<bool> Body(std::string) override { co_return true; }

 private:
  Loop& loop_;
  std::atomic<bool>& is_ready_;
};

TEST(BeastClientTest, TheTimeOfTheSinkDoesNotCountAsIdle) {
  std::atomic<bool> is_ready = false;
  ToxicServer server([&](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    is_ready.wait(false);
    connection.Write("body");
    connection.WaitForClose();
  });
  Sender sender;
  SlowSink sink(sender.loop(), is_ready);
  HttpRequest request;
  request.url = server.url();
  HttpLimits limits;
  limits.idle = 300ms;
  EXPECT_EQ(sender.Send(request, limits, sink).outcome, HttpOutcome::kAnswered);
}

TEST(BeastClientTest, AcceptsAnAnswerBeforeTheEndOfTheRequest) {
  ToxicServer server([](ToxicConnection& connection, int) {
    char byte = 0;
    if (::recv(connection.socket(), &byte, 1, 0) == 1) {
      connection.Write("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    connection.WaitForClose();
  });
  Sender sender;
  const Sent result = sender.Send(server.url(), std::string(1 << 20, 'x'));
  EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
  EXPECT_EQ(result.status, 413);
}

TEST(BeastClientTest, IsHarmlessWhenItsLoopIsAbandoned) {
  ToxicServer server([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.WaitForClose();
  });
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeInlinePool(loop);
  const std::unique_ptr<HttpClient> client = MakeBeastClient(loop, *pool);
  const auto send = [](HttpClient& client, std::string url) -> Task<void> {
    HttpRequest request;
    request.url = std::move(url);
    WholeBody sink;
    HttpLimits limits;
    co_await client.Send(std::move(request), std::move(limits), sink);
    ADD_FAILURE() << "resumed after Abandon";
  };
  loop.Spawn(send(*client, server.url()));
  loop.Spawn(send(*client, "http://localhost:1/"));
  const auto stop = [](Loop& loop) -> Task<void> {
    co_await loop.Yield();
    loop.Stop();
  };
  loop.Spawn(stop(loop));
  loop.Run();
  loop.Abandon();
}

}  // namespace
}  // namespace millrace
