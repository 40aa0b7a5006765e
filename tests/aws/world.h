// A machine for tests of AWS credentials: its environment, files and HTTP services are maps, and its time is simulated.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/aws/credentials.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/http/client.h"

namespace millrace {

// An answer of a service.
struct ServedAnswer {
  int status = 200;
  std::string body;
  HttpHeaders headers = {};
};

class AwsWorld final : public HttpClient {
 public:
  // Wall time 2026-01-02T03:04:05Z.
  AwsWorld() : clock(1'767'323'045'000'000), loop(clock), pool(MakeInlinePool(loop)) {}

  AwsSources Sources() {
    AwsSystem system;
    system.variable = [this](const std::string& name) { return variables.count(name) ? variables.at(name) : ""; };
    system.read_file = [this](const std::string& path) -> StatusOr<std::optional<std::string>> {
      ++files_read;
      if (unreadable == path) return MakeError(Reason::kFileError, path + " can't be read");
      return files.count(path) ? std::optional(files.at(path)) : std::nullopt;
    };
    return {.loop = loop, .pool = *pool, .http = *this, .system = std::move(system)};
  }

  // Answers after 100 ms by method and URL; a service that does not exist can't be reached.
  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override {
    requests.push_back(request);
    limits_of_last = limits;
    co_await loop.Sleep(std::chrono::milliseconds(100));
    HttpResult result;
    const auto served = services.find(request.method + " " + request.url);
    if (served == services.end()) {
      result.error = "connection refused";
      co_return result;
    }
    const ServedAnswer answer = served->second;
    result.outcome = HttpOutcome::kAnswered;
    result.status = answer.status;
    co_await sink.Head(answer.status, answer.headers);
    if (!answer.body.empty()) co_await sink.Body(answer.body);
    co_return result;
  }

  SimulatedClock clock;
  Loop loop;
  std::unique_ptr<Pool> pool;
  std::map<std::string, std::string> variables = {{"HOME", "/h"}};
  std::map<std::string, std::string> files;
  std::string unreadable;  // path of a file that can't be read
  std::map<std::string, ServedAnswer> services;
  int files_read = 0;
  std::vector<HttpRequest> requests;
  HttpLimits limits_of_last;
};

}  // namespace millrace
