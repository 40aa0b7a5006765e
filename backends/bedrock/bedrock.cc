#include "backends/bedrock/bedrock.h"

#include <fmt/format.h>

#include <utility>

#include "backends/bedrock/answer.h"
#include "backends/bedrock/embedding.h"
#include "backends/bedrock/endpoint.h"
#include "backends/bedrock/failure.h"
#include "backends/bedrock/question.h"
#include "backends/bedrock/stream.h"
#include "backends/sdk/deferred.h"
#include "backends/sdk/http_call.h"
#include "server/aws/sigv4.h"

namespace millrace::backend {
namespace {

using bedrock::AnswerForm;

// Part of a call's key. Increment it when the same question is worded differently.
constexpr int kDialectVersion = 1;

// Reads a whole response or an event stream, whichever comes: a new exchange may get the stored response to a request
// that it would have sent otherwise.
class ConverseExchange final : public Exchange {
 public:
  ConverseExchange(SendHttp request, AnswerForm form, std::string model)
      : request_(std::move(request)), form_(form), model_(model), stream_(form, std::move(model)) {}

  Action Next(Input input) override {
    if (auto* head = std::get_if<Head>(&input)) {
      response_ = {.status = head->status, .headers = std::move(head->headers), .body = {}};
      return More();
    }
    if (auto* bytes = std::get_if<Bytes>(&input)) return TakeBytes(std::move(bytes->bytes));
    if (std::holds_alternative<Resume>(input)) return std::move(request_);
    if (is_stream_) return stream_.End();
    if (IsGood() && response_.body.empty()) return Fail{bedrock::Cut("the response is empty")};
    if (!IsGood()) return Fail{bedrock::ReadFailure(response_)};
    return bedrock::ReadAnswer(response_, form_, model_);
  }

 private:
  bool IsGood() const { return response_.status >= 200 && response_.status < 300; }

  Action TakeBytes(std::string bytes) {
    // A message of a stream begins with its length, which is less than 2^25; no JSON text begins with such a byte.
    if (IsGood() && response_.body.empty() && (bytes[0] == '\0' || bytes[0] == '\1')) is_stream_ = true;
    if (is_stream_) return stream_.Add(bytes);
    response_.body += bytes;
    return More();
  }

  SendHttp request_;
  const AnswerForm form_;
  const std::string model_;
  Response response_;
  bedrock::ConverseStream stream_;
  bool is_stream_ = false;
};

class BedrockBackend final : public Backend {
 public:
  explicit BedrockBackend(const v1::BedrockBackend& config) : config_(config), endpoint_(bedrock::EndpointOf(config)) {
    manifest_.kind = "bedrock";
    manifest_.protocol_family = "bedrock-converse";
    manifest_.dialect_version = kDialectVersion;
    manifest_.kept_headers = {std::string(bedrock::kInputTokensHeader)};
    manifest_.description = "Amazon Bedrock's Converse API.";
  }

  const Manifest& manifest() const override { return manifest_; }

  EmbedLimits embed_limits(std::string_view model) const override {
    return {.texts = bedrock::TextsMax(model), .tokens = 0};
  }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    return StartWhenUsed(question, [this](const Question& asked) { return Begin(asked); });
  }

 private:
  std::unique_ptr<Exchange> Begin(const Question& question) const {
    if (const auto* embed = std::get_if<EmbedRequest>(&question)) {
      return bedrock::StartEmbedding(*embed, RequestTo(embed->model, "invoke"));
    }
    const Request& request = std::get<Request>(question);
    StatusOr<bedrock::ConverseQuestion> words = bedrock::MakeConverseQuestion(config_, request);
    if (!words.ok()) return FailedExchange(bedrock::NotAsked(words.status()));
    SendHttp send = RequestTo(request.model, request.wants_deltas ? "converse-stream" : "converse");
    send.body = std::move(words->body);
    return std::make_unique<ConverseExchange>(std::move(send), words->form, request.model);
  }

  SendHttp RequestTo(const std::string& model, std::string_view operation) const {
    SendHttp send;
    send.url = fmt::format("{}/model/{}/{}", endpoint_, AwsUriEscaped(model), operation);
    send.headers = {{"Content-Type", "application/json"}, {"User-Agent", "millrace"}};
    if (config_.has_api_key()) {
      send.auth = HeaderAuth{.header = "Authorization", .scheme = "Bearer "};
    } else {
      send.auth = SigV4Auth{.region = config_.region(), .service = "bedrock"};
    }
    return send;
  }

  const v1::BedrockBackend config_;
  const std::string endpoint_;
  Manifest manifest_;
};

}  // namespace

std::unique_ptr<Backend> MakeBedrockBackend(const v1::BedrockBackend& config) {
  return std::make_unique<BedrockBackend>(config);
}

}  // namespace millrace::backend
