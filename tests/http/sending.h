// Sends requests one after another, on its own loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/http/beast_client.h"
#include "server/http/name_service.h"
#include "server/http/whole_body.h"

namespace millrace {

// Outcome of a request, with its answer.
struct Sent : HttpResult {
  HttpHeaders headers;
  std::string body;
};

class Sender {
 public:
  explicit Sender(const BeastClientOptions& options = {})
      : loop_(clock_), pool_(loop_), client_(MakeBeastClient(loop_, pool_, options)) {}
  Sender(const BeastClientOptions& options, BlockingLookUp look_up)
      : loop_(clock_),
        pool_(loop_),
        client_(MakeBeastClient(loop_, pool_, options, MakeThreadedNames(loop_, std::move(look_up)))) {}

  Sent Send(std::string url, std::string body = "{}", HttpLimits limits = {}) {
    HttpRequest request;
    request.url = std::move(url);
    request.headers = {{"Content-Type", "application/json"}};
    request.body = std::move(body);
    return Send(std::move(request), limits);
  }
  Sent Send(HttpRequest request, HttpLimits limits = {}) {
    WholeBody sink;
    Sent sent;
    static_cast<HttpResult&>(sent) = Send(std::move(request), std::move(limits), sink);
    sent.headers = std::move(sink.headers);
    sent.body = std::move(sink.body);
    return sent;
  }
  HttpResult Send(HttpRequest request, HttpLimits limits, HttpSink& sink) {
    HttpResult result;
    loop_.Spawn(SendOne(*client_, loop_, std::move(request), std::move(limits), sink, result));
    loop_.Run();
    return result;
  }
  Loop& loop() { return loop_; }
  HttpClient& client() { return *client_; }
  // Number of works that the client submitted to the pool.
  int works() const { return pool_.submitted; }

 private:
  struct CountingPool final : Pool {
    explicit CountingPool(Loop& loop) : threads(MakeThreadPool(loop, 1)) {}
    void Submit(absl::AnyInvocable<void()> work, absl::AnyInvocable<void()> done) override {
      ++submitted;
      threads->Submit(std::move(work), std::move(done));
    }
    const std::unique_ptr<Pool> threads;
    int submitted = 0;
  };

  static Task<void> SendOne(HttpClient& client, Loop& loop, HttpRequest request, HttpLimits limits, HttpSink& sink,
                            HttpResult& result) {
    result = co_await client.Send(std::move(request), std::move(limits), sink);
    loop.Stop();
  }

  SystemClock clock_;
  Loop loop_;
  CountingPool pool_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace millrace
