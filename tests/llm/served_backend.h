// A backend whose server is asked for its state and does errands, for tests. Questions are those of PlainBackend.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/sdk/probe.h"
#include "backends/sdk/status_meaning.h"
#include "tests/llm/world.h"

namespace millrace {

// Asks for the state: a text such as `m=r-1 n=r-2`, the models with their revisions.
class StateProbe final : public backend::HttpProbe {
 public:
  explicit StateProbe(std::vector<std::string> models) : asked_(std::move(models)) {}

 private:
  Step Begin() override {
    return backend::SendHttp{
        .method = "GET", .url = "http://provider/state", .headers = {}, .body = "", .billable = false};
  }
  Step Read(const backend::Response& response) override {
    if (response.status != 200) {
      const backend::StatusMeaning meaning = backend::MeaningOfStatus(response.status);
      return backend::Failure{.outcome = meaning.outcome,
                              .reason = meaning.reason,
                              .message = "no such page",
                              .retry_after = {},
                              .http_status = response.status};
    }
    backend::ServerState state;
    for (const std::string& model : asked_) {
      const size_t at = response.body.find(model + "=");
      if (at == std::string::npos) {
        state.asked.push_back({.revision = {}, .problem = "pull it"});
        continue;
      }
      const size_t begin = at + model.size() + 1;
      state.asked.push_back(
          {.revision = response.body.substr(begin, response.body.find(' ', begin) - begin), .problem = {}});
    }
    return state;
  }

  const std::vector<std::string> asked_;
};

// Posts one request, whose body comes in lines of progress.
class PlainErrand final : public backend::Exchange {
 public:
  explicit PlainErrand(std::string url) : url_(std::move(url)) {}

  backend::Action Next(backend::Input input) override {
    if (std::holds_alternative<backend::Resume>(input)) {
      return backend::SendHttp{.method = "POST", .url = url_, .headers = {}, .body = "", .billable = false};
    }
    if (const auto* head = std::get_if<backend::Head>(&input)) {
      status_ = head->status;
      return backend::More();
    }
    if (auto* bytes = std::get_if<backend::Bytes>(&input)) return backend::More{std::move(bytes->bytes)};
    if (status_ == 200) return backend::Done();
    return backend::Fail{{.outcome = backend::Outcome::kRefused,
                          .message = "the errand failed",
                          .retry_after = {},
                          .http_status = status_}};
  }

 private:
  const std::string url_;
  int status_ = 0;
};

class ServedBackend final : public backend::Backend {
 public:
  explicit ServedBackend(backend::Upkeep upkeep = {}) {
    manifest_.kind = "served";
    manifest_.protocol_family = "plain";
    manifest_.dialect_version = 1;
    manifest_.upkeep = upkeep;
    manifest_.reports_revisions = true;
  }

  const backend::Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question& question, uint64_t attempt_seed) override {
    return plain_.Start(question, attempt_seed);
  }
  std::unique_ptr<backend::Probe> StartProbe(std::vector<std::string> models) const override {
    return std::make_unique<StateProbe>(std::move(models));
  }
  std::unique_ptr<backend::Exchange> StartErrand(backend::Errand errand, const std::string& model) const override {
    const std::string what = errand == backend::Errand::kPull     ? "pull"
                             : errand == backend::Errand::kUnload ? "unload"
                                                                  : "warm";
    return std::make_unique<PlainErrand>("http://provider/" + what + "/" + model);
  }

 private:
  PlainBackend plain_;
  backend::Manifest manifest_;
};

// The server of a ServedBackend: `state` is what it answers to probes; empty: it can't be reached.
struct ServedProvider {
  std::string state = "m=r-1";
  Duration errand_latency = 5s;
  int errand_status = 200;
  std::string after_pull;  // `state` after a pull

  Reaction operator()(const HttpRequest& request) {
    if (state.empty()) return {.outcome = HttpOutcome::kNotSent};
    if (request.url == "http://provider/state") return {.latency = 2ms, .body = state};
    if (request.url.starts_with("http://provider/pull")) {
      if (errand_status == 200) state = after_pull;
      return {.latency = errand_latency, .status = errand_status, .pieces = {"10%", "90%"}, .gap = errand_latency};
    }
    if (request.url.starts_with("http://provider/warm") || request.url.starts_with("http://provider/unload")) {
      return {.latency = errand_latency, .status = errand_status, .body = ""};
    }
    return {.body = "said by " + state};
  }
};

// Runs a coroutine of the world to its end.
template <typename T>
T Do(World& world, Task<T> task) {
  std::optional<T> result;
  world.loop_->Spawn([](Task<T> inner, std::optional<T>& into) -> Task<void> { into = co_await std::move(inner); }(
                                                                   std::move(task), result));
  world.RunUntil([&] { return result.has_value(); });
  return *std::move(result);
}

}  // namespace millrace
