// Sends requests one after another, on its own loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/http/beast_client.h"

namespace millrace {

class Sender {
 public:
  explicit Sender(const BeastClientOptions& options = {})
      : loop_(clock_), pool_(loop_), client_(MakeBeastClient(loop_, pool_, options)) {}

  HttpResult Send(std::string url, std::string body = "{}", HttpLimits limits = {}, HttpCancel* cancel = nullptr) {
    HttpRequest request;
    request.url = std::move(url);
    request.headers = {{"Content-Type", "application/json"}};
    request.body = std::move(body);
    return Send(std::move(request), limits, cancel);
  }
  HttpResult Send(HttpRequest request, HttpLimits limits = {}, HttpCancel* cancel = nullptr) {
    HttpResult result;
    loop_.Spawn(SendOne(*client_, loop_, std::move(request), limits, cancel, result));
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

  static Task<void> SendOne(HttpClient& client, Loop& loop, HttpRequest request, HttpLimits limits, HttpCancel* cancel,
                            HttpResult& result) {
    result = co_await client.Send(std::move(request), limits, cancel);
    loop.Stop();
  }

  SystemClock clock_;
  Loop loop_;
  CountingPool pool_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace millrace
