// A backend for an imaginary provider. `POST BASE_URL/ask` takes
//   {"model":"m","system":"Be short.","turns":[{"by":"user","text":"…"}],"limit":64}
// and answers {"model":"m-1","answer":"…","end":"done","tokens":{"in":19,"out":10}}, or {"error":"…"}.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/reply_json.h"
#include "backends/sdk/status_meaning.h"
#include "tests/contract/example_backend.h"

namespace millrace::backend {
namespace {

Failure BadAnswer(const Response& response, std::string message) {
  return {.outcome = Outcome::kAnsweredBad,
          .reason = Reason::kBadResponse,
          .message = std::move(message),
          .http_status = response.status};
}

class ExampleExchange final : public WholeBodyExchange {
 public:
  using WholeBodyExchange::WholeBodyExchange;

 private:
  Action Read(Response response) const override {
    const StatusOr<json::value> reply = ParseReply(response.body);
    const std::string error = reply.ok() ? TextAt(*reply, "error") : Excerpt(response.body, 200);
    if (!IsSuccess(response.status)) return Fail{FailureOfStatus(response.status, response.headers, error)};
    const json::value* text = reply.ok() ? FindPath(*reply, "answer") : nullptr;
    if (text == nullptr || !text->is_string()) return Fail{BadAnswer(response, "no answer: " + error)};
    Answer answer;
    answer.text = TextAt(*reply, "answer");
    const std::string end = TextAt(*reply, "end");
    if (end == "limit") {
      answer.finish_reason = FinishReason::kLength;
    } else if (end != "done") {  // not understood, so it may be half an answer
      return Fail{BadAnswer(response, fmt::format("unknown end `{}`", Excerpt(end)))};
    }
    answer.input_tokens = CountAt(*reply, "tokens.in");
    answer.output_tokens = CountAt(*reply, "tokens.out");
    answer.reported_model = TextAt(*reply, "model");
    return Done{std::move(answer)};
  }
};

class ExampleBackend final : public Backend {
 public:
  explicit ExampleBackend(std::string base_url) : base_url_(std::move(base_url)) {}

  const Manifest& manifest() const override { return manifest_; }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    const auto* request = std::get_if<Request>(&question);
    if (request == nullptr) return FailedExchange(EmbedsNothing(manifest_.kind));
    json::object body;
    body["model"] = request->model;
    std::string system;
    json::array turns;
    for (const Message& message : request->messages) {
      if (message.role == "system") {
        system += (system.empty() ? "" : "\n\n") + message.content;
      } else {
        turns.push_back(json::object{{"by", message.role}, {"text", message.content}});
      }
    }
    body["system"] = std::move(system);
    body["turns"] = std::move(turns);
    if (!request->output_schema.empty()) body["schema"] = request->output_schema;
    body["limit"] = request->max_tokens;
    return std::make_unique<ExampleExchange>(SendHttp{.url = base_url_ + "/ask",
                                                      .headers = {{"Content-Type", "application/json"}},
                                                      .auth = HeaderAuth{.header = "X-Key", .scheme = ""},
                                                      .body = json::serialize(body)});
  }

 private:
  const std::string base_url_;
  const Manifest manifest_{
      .kind = "example", .protocol_family = "example", .dialect_version = 1, .description = "An imaginary provider."};
};

}  // namespace

std::unique_ptr<Backend> MakeExampleBackend(std::string base_url) {
  return std::make_unique<ExampleBackend>(std::move(base_url));
}

}  // namespace millrace::backend
