// Requests when connections are scarce: they wait for one, and a provider that hangs does not take those of others.
#include <dirent.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "server/base/stop_signal.h"
#include "tests/http/sending.h"
#include "tests/http/toxic_server.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

// Answers every request and keeps the connection open.
void Serve(ToxicConnection& connection, int) {
  while (!connection.ReadRequest().empty()) connection.Write(kOk);
}

// Requests that are sent together. Ends the loop when all are answered.
class Crowd {
 public:
  Crowd(HttpClient& client, Loop& loop) : client_(client), loop_(loop) {}

  void Send(const std::string& url, HttpLimits limits = {}) {
    results.push_back(std::make_unique<Sent>());
    loop_.Spawn(SendOne(*this, url, std::move(limits), *results.back()));
    ++running_;
  }
  // Runs until at most `left` requests are in flight.
  void RunUntilLeft(int left) {
    left_ = left;
    if (running_ > left) loop_.Run();
  }
  std::vector<std::unique_ptr<Sent>> results;

 private:
  static Task<void> SendOne(Crowd& crowd, std::string url, HttpLimits limits, Sent& sent) {
    HttpRequest request;
    request.url = std::move(url);
    WholeBody sink;
    static_cast<HttpResult&>(sent) = co_await crowd.client_.Send(std::move(request), std::move(limits), sink);
    sent.body = sink.body;
    if (--crowd.running_ <= crowd.left_) crowd.loop_.Stop();
  }

  HttpClient& client_;
  Loop& loop_;
  int running_ = 0;
  int left_ = 0;
};

TEST(ConnectionsTest, RequestsWaitForAConnection) {
  std::atomic<int> open = 0;
  std::atomic<int> open_max = 0;
  ToxicServer server([&](ToxicConnection& connection, int number) {
    open_max = std::max<int>(open_max, ++open);
    if (number % 2 == 0) {
      Serve(connection, number);
      --open;
      return;
    }
    // The other half closes after one answer. The client may open the next connection once it has that answer.
    const bool is_asked = !connection.ReadRequest().empty();
    --open;
    if (is_asked) connection.Write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
  });
  Sender sender({.connections_max = 4});
  Crowd crowd(sender.client(), sender.loop());
  for (int i = 0; i < 100; ++i) crowd.Send(server.url());
  crowd.RunUntilLeft(0);
  for (const auto& sent : crowd.results) EXPECT_EQ(sent->outcome, HttpOutcome::kAnswered) << sent->error;
  EXPECT_EQ(server.requests(), 100);
  EXPECT_LE(open_max, 3) << "three quarters of all";
}

TEST(ConnectionsTest, AProviderThatHangsLeavesConnectionsToOthers) {
  ToxicServer hangs([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.WaitForClose();
  });
  ToxicServer healthy(Serve);
  Sender sender({.connections_max = 4});
  Crowd crowd(sender.client(), sender.loop());
  HttpLimits limits;
  limits.stop = std::make_shared<StopSignal>(sender.loop());
  for (int i = 0; i < 20; ++i) crowd.Send(hangs.url(), limits);
  for (int i = 0; i < 10; ++i) crowd.Send(healthy.url());
  crowd.RunUntilLeft(20);
  for (size_t i = 20; i < 30; ++i) EXPECT_EQ(crowd.results[i]->outcome, HttpOutcome::kAnswered);
  EXPECT_EQ(healthy.connections(), 1);
  limits.stop->Stop();
  crowd.RunUntilLeft(0);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(crowd.results[i]->outcome, HttpOutcome::kCancelled);
  EXPECT_LE(hangs.connections(), 3);
}

TEST(ConnectionsTest, AnIdleConnectionGivesWayToAnotherOrigin) {
  ToxicServer one(Serve);
  ToxicServer two(Serve);
  Sender sender({.connections_max = 1});
  for (const ToxicServer* server : {&one, &two, &one, &one}) {
    EXPECT_EQ(sender.Send(server->url()).outcome, HttpOutcome::kAnswered);
  }
  EXPECT_EQ(one.connections(), 2);
  EXPECT_EQ(two.connections(), 1);
}

TEST(ConnectionsTest, TheDeadlineLimitsTheWaitForAConnection) {
  ToxicServer hangs([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.WaitForClose();
  });
  Sender sender({.connections_max = 1});
  Crowd crowd(sender.client(), sender.loop());
  HttpLimits hanging;
  hanging.stop = std::make_shared<StopSignal>(sender.loop());
  crowd.Send(hangs.url(), hanging);
  HttpLimits late;
  late.deadline = sender.loop().Now() + 50ms;
  crowd.Send(hangs.url(), late);
  crowd.RunUntilLeft(1);
  EXPECT_EQ(crowd.results[1]->outcome, HttpOutcome::kNotSent);
  EXPECT_EQ(crowd.results[1]->error, "the total time limit passed");
  hanging.stop->Stop();
  crowd.RunUntilLeft(0);
}

// Takes an answer without end, and keeps nothing.
class Drain final : public HttpSink {
 public:
  Task<bool> Head(int, HttpHeaders) override { co_return true; }
  Task<bool> Body(std::string bytes) override {
    taken += bytes.size();
    co_return true;
  }
  size_t taken = 0;
};

Task<void> SendTo(HttpClient& client, std::string url, HttpLimits limits, Drain& sink, bool& is_done) {
  HttpRequest request;
  request.url = std::move(url);
  co_await client.Send(std::move(request), std::move(limits), sink);
  is_done = true;
}

TEST(ConnectionsTest, AFloodLeavesTurnsToOtherRequests) {
  ToxicServer flood([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\n\r\n");
    const std::string piece(1 << 20, ' ');
    for (int i = 0; i < 512 && connection.Write(piece); ++i) {
    }
  });
  ToxicServer healthy(Serve);
  Sender sender;
  HttpLimits limits;
  limits.body_bytes_max = size_t{1} << 30;
  limits.stop = std::make_shared<StopSignal>(sender.loop());
  Drain sink;
  bool is_flood_over = false;
  sender.loop().Spawn(SendTo(sender.client(), flood.url(), limits, sink, is_flood_over));
  Crowd crowd(sender.client(), sender.loop());
  for (int i = 0; i < 20; ++i) {
    crowd.Send(healthy.url());
    crowd.RunUntilLeft(0);
  }
  EXPECT_FALSE(is_flood_over);
  EXPECT_LT(sink.taken, size_t{256} << 20) << "20 requests in turn need a few turns each";
  limits.stop->Stop();
  crowd.Send(healthy.url());
  crowd.RunUntilLeft(0);
}

int OpenDescriptors() {
  int count = 0;
  DIR* const folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// The client's process has descriptors for a few sockets only, although the client may open thousands.
TEST(ConnectionsTest, RequestsWaitIfTheProcessHasNoDescriptorLeft) {
  ToxicServer server(Serve);
  const std::string url = server.url();
  const pid_t child = fork();
  if (child == 0) {
    Sender sender;
    if (sender.Send(url).outcome != HttpOutcome::kAnswered) _exit(2);
    const auto low = static_cast<rlim_t>(OpenDescriptors() + 3);
    const rlimit limit{low, low};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(3);
    Crowd crowd(sender.client(), sender.loop());
    for (int i = 0; i < 20; ++i) crowd.Send(url);
    crowd.RunUntilLeft(0);
    const bool all_answered = std::all_of(crowd.results.begin(), crowd.results.end(),
                                          [](const auto& sent) { return sent->outcome == HttpOutcome::kAnswered; });
    _exit(all_answered ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace millrace
