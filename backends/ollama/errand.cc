#include "backends/ollama/errand.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "backends/ollama/failure.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/ndjson.h"
#include "backends/sdk/reply_json.h"
#include "backends/sdk/status_meaning.h"
#include "server/base/json.h"

namespace millrace::backend::ollama {
namespace {

constexpr size_t kLineBytesMax = 64u << 10;
constexpr size_t kStatusBytesMax = 200;

// Sends requests, one after the other, until one succeeds.
class LoadExchange final : public Exchange {
 public:
  LoadExchange(std::string model, std::vector<SendHttp> requests)
      : model_(std::move(model)), requests_(std::move(requests)) {}

  Action Next(Input input) override {
    if (std::holds_alternative<Resume>(input)) return std::move(requests_[next_++]);
    if (auto* head = std::get_if<Head>(&input)) {
      response_ = {.status = head->status, .headers = std::move(head->headers), .body = {}};
      return More();
    }
    if (const auto* bytes = std::get_if<Bytes>(&input)) {
      response_.body.append(bytes->bytes.substr(0, kFailureBytesMax - response_.body.size()));
      return More();
    }
    Failure failure;
    if (!IsSuccess(response_.status)) {
      failure = ReadFailure(response_, model_);
    } else {
      const StatusOr<json::value> reply = ParseReply(response_.body);
      const json::value* error = reply.ok() ? FindPath(*reply, "error") : nullptr;
      if (reply.ok() && (error == nullptr || IsNothing(*error))) return Done();
      failure = reply.ok()
                    ? ReadErrorLine(*reply, *error, model_)
                    : BadResponse(response_.status, "not the answer of an Ollama server: " + Excerpt(response_.body));
    }
    if (failure.outcome != Outcome::kRefused || next_ == requests_.size()) return Fail{std::move(failure)};
    return std::move(requests_[next_++]);
  }

 private:
  const std::string model_;
  std::vector<SendHttp> requests_;
  size_t next_ = 0;
  Response response_;  // at most kFailureBytesMax of its body
};

class PullExchange final : public Exchange {
 public:
  PullExchange(std::string model, SendHttp request) : model_(std::move(model)), request_(std::move(request)) {}

  Action Next(Input input) override {
    if (std::holds_alternative<Resume>(input)) return std::move(request_);
    if (auto* head = std::get_if<Head>(&input)) {
      response_ = {.status = head->status, .headers = std::move(head->headers), .body = {}};
      return More();
    }
    if (const auto* bytes = std::get_if<Bytes>(&input)) return Read(bytes->bytes);
    if (!IsSuccess(response_.status)) return Fail{ReadFailure(response_, model_)};
    if (const std::optional<std::string_view> rest = lines_.Rest()) {
      More more;
      if (std::optional<Action> end = ReadLine(*rest, more)) return *std::move(end);
    }
    return Fail{CutStream(response_.status, "the pull ended before it was complete")};
  }

 private:
  Action Read(std::string_view bytes) {
    if (!IsSuccess(response_.status)) {
      response_.body.append(bytes.substr(0, kFailureBytesMax - response_.body.size()));
      return More();
    }
    More more;
    lines_.Add(bytes);
    while (const std::optional<std::string_view> line = lines_.Next()) {
      if (std::optional<Action> end = ReadLine(*line, more)) return *std::move(end);
    }
    if (lines_.is_too_long()) return Fail{BadResponse(response_.status, "a line of the pull's progress is too long")};
    return more;
  }

  // Returns the action that ends the pull; puts a line of progress into `more`.
  std::optional<Action> ReadLine(std::string_view line, More& more) const {
    const StatusOr<json::value> value = ParseReply(line);
    if (!value.ok()) return Fail{BadResponse(response_.status, "a line of the pull's progress is not JSON")};
    if (const json::value* error = FindPath(*value, "error"); error != nullptr && !IsNothing(*error)) {
      return Fail{ReadErrorLine(*value, *error, model_)};
    }
    const std::string status = TextAt(*value, "status");
    if (status == "success") return Done();
    more.delta = Excerpt(status, kStatusBytesMax);
    const int64_t total = CountAt(*value, "total").value_or(0);
    const int64_t completed = std::min(CountAt(*value, "completed").value_or(0), total);
    if (total > 0) {
      more.delta += fmt::format(": {}% of {:.1f} MB", completed * 100 / total, static_cast<double>(total) / 1e6);
    }
    return std::nullopt;
  }

  const std::string model_;
  SendHttp request_;
  Response response_;  // its body is kept only if its status is not 2xx
  NdjsonReader lines_{kLineBytesMax};
};

}  // namespace

std::unique_ptr<Exchange> MakeWarmUp(std::string model, std::vector<SendHttp> requests) {
  return std::make_unique<LoadExchange>(std::move(model), std::move(requests));
}

std::unique_ptr<Exchange> MakeUnload(std::string model, SendHttp request) {
  std::vector<SendHttp> requests;
  requests.push_back(std::move(request));
  return std::make_unique<LoadExchange>(std::move(model), std::move(requests));
}

std::unique_ptr<Exchange> MakePull(std::string model, SendHttp request) {
  return std::make_unique<PullExchange>(std::move(model), std::move(request));
}

}  // namespace millrace::backend::ollama
