#include "backends/openai/openai.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "backends/openai/answer.h"
#include "backends/openai/chat_stream.h"
#include "backends/openai/embedding.h"
#include "backends/openai/endpoint.h"
#include "backends/openai/failure.h"
#include "backends/openai/probe.h"
#include "backends/openai/question.h"
#include "backends/openai/rate_hint.h"
#include "backends/sdk/deferred.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/status_meaning.h"
#include "server/http/guard.h"

namespace millrace::backend {
namespace {

// Part of a call's key. Increment it when the same question is worded differently.
constexpr int kDialectVersion = 1;

constexpr char kContentType[] = "content-type";

// Form of a body, as far as its first bytes show it. The bytes decide because servers answer a request for a stream
// with a whole answer or an error, and send streams under other content types.
enum class Form { kUnknown, kWhole, kEvents };

// Returns the form of a body, and removes from its beginning what both forms ignore: a byte order mark and white space.
Form FormOf(std::string& body) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (body.starts_with(kByteOrderMark)) body.erase(0, kByteOrderMark.size());
  body.erase(0, std::min(body.find_first_not_of(" \t\r\n"), body.size()));
  for (const std::string_view field : {":", "data:", "event:", "id:", "retry:"}) {
    if (body.starts_with(field)) return Form::kEvents;
    if (field.starts_with(body)) return Form::kUnknown;
  }
  return kByteOrderMark.starts_with(body) ? Form::kUnknown : Form::kWhole;
}

void AddRate(const Head& head, Action& action) {
  if (auto* done = std::get_if<Done>(&action)) done->answer.rate = openai::RateHintOf(head.headers);
  if (auto* fail = std::get_if<Fail>(&action)) fail->failure.rate = openai::RateHintOf(head.headers);
}

class ChatExchange final : public Exchange {
 public:
  ChatExchange(const v1::OpenaiBackend& config, SendHttp request) : config_(config), request_(std::move(request)) {}

  Action Next(Input input) override {
    Action action = Take(std::move(input));
    AddRate(head_, action);
    return action;
  }

 private:
  Action Take(Input input) {
    if (std::holds_alternative<Resume>(input)) return std::move(request_);
    if (auto* head = std::get_if<Head>(&input)) {
      head_ = std::move(*head);
      if (!IsSuccess(head_.status)) form_ = Form::kWhole;
      return More();
    }
    if (auto* bytes = std::get_if<Bytes>(&input)) return Read(std::move(bytes->bytes));
    return End();
  }

  Action Read(std::string bytes) {
    if (stream_) return stream_->Read(bytes);
    body_.empty() ? body_.swap(bytes) : (void)body_.append(bytes);
    if (form_ == Form::kUnknown) form_ = FormOf(body_);
    if (form_ != Form::kEvents) return More();
    return stream_.emplace(config_, head_).Read(std::exchange(body_, {}));
  }

  Action End() {
    // A stream that ended before its first event is not an answer of another form.
    const bool is_empty_stream =
        form_ == Form::kUnknown && HeaderOf(head_.headers, kContentType).starts_with("text/event-stream");
    if (is_empty_stream) stream_.emplace(config_, head_);
    return stream_ ? stream_->End() : openai::ReadAnswer(config_, head_, body_);
  }

  const v1::OpenaiBackend& config_;
  SendHttp request_;
  Head head_;
  Form form_ = Form::kUnknown;
  std::string body_;
  std::optional<openai::ChatStream> stream_;
};

class EmbeddingExchange final : public WholeBodyExchange {
 public:
  EmbeddingExchange(const v1::OpenaiBackend& config, openai::VectorsWanted wanted, SendHttp request)
      : WholeBodyExchange(std::move(request)), config_(config), wanted_(wanted) {}

 private:
  Action Read(Response response) const override {
    const Head head{.status = response.status, .headers = std::move(response.headers)};
    Action action = openai::ReadVectors(config_, wanted_, head, response.body);
    AddRate(head, action);
    return action;
  }

  const v1::OpenaiBackend& config_;
  const openai::VectorsWanted wanted_;
};

class OpenaiBackend final : public Backend {
 public:
  explicit OpenaiBackend(const v1::OpenaiBackend& config) : config_(config) {
    manifest_.kind = "openai";
    manifest_.protocol_family = "openai-chat";
    manifest_.dialect_version = kDialectVersion;
    manifest_.kept_headers = {openai::kRequestId, kContentType, "retry-after", "retry-after-ms", "x-should-retry"};
    manifest_.description = "OpenAI's chat completions and embeddings, or a server that is compatible with them.";
    manifest_.if_unreachable = "start the server, or correct base_url";
    if (std::string warning = openai::VersionWarning(config); !warning.empty()) {
      manifest_.warnings.push_back(std::move(warning));
    }
  }

  const Manifest& manifest() const override { return manifest_; }

  // OpenAI's own limits. A compatible server that takes less refuses the request.
  EmbedLimits embed_limits(std::string_view) const override { return {.texts = 2048, .tokens = 300'000}; }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    return StartWhenUsed(question, [this](const Question& asked) { return Begin(asked); });
  }

  std::unique_ptr<Probe> StartProbe(std::vector<std::string> models) const override {
    // Azure's dated API lists models, but not the deployments that requests name.
    if (!config_.api_version().empty()) return nullptr;
    return openai::MakeProbe(config_, std::move(models));
  }

 private:
  std::unique_ptr<Exchange> Begin(const Question& question) const {
    if (const auto* embed = std::get_if<EmbedRequest>(&question)) {
      SendHttp send = openai::RequestTo(config_, "/embeddings", embed->model);
      send.headers.emplace_back("Accept", "application/json");
      send.body = openai::EmbeddingBody(config_, *embed);
      return std::make_unique<EmbeddingExchange>(
          config_, openai::VectorsWanted{.count = embed->texts.size(), .dimensions = embed->dimensions},
          std::move(send));
    }
    const auto& request = std::get<Request>(question);
    const bool streams = config_.stream() == "always" || (config_.stream() != "never" && request.wants_deltas);
    SendHttp send = openai::RequestTo(config_, "/chat/completions", request.model);
    send.headers.emplace_back("Accept", streams ? "text/event-stream" : "application/json");
    send.body = openai::QuestionBody(config_, request, streams);
    return std::make_unique<ChatExchange>(config_, std::move(send));
  }

  const v1::OpenaiBackend config_;
  Manifest manifest_;
};

void CheckOpenai(v1::BackendConfig& config, const YamlFileReader&, std::vector<FieldViolation>& violations) {
  const v1::OpenaiBackend& openai = config.openai();
  if (!openai.base_url().empty()) {
    const Status status = CheckBackendUrl(openai.base_url());
    if (!status.ok()) violations.push_back({"base_url", std::string(MessageOf(status))});
  }
  if (openai.has_api_key()) CheckSecret(openai.api_key(), "api_key", violations);
  for (FieldViolation& violation : openai::CheckEndpoint(openai)) violations.push_back(std::move(violation));
}

}  // namespace

BackendKind OpenaiKind() {
  BackendKind kind;
  kind.name = "openai";
  kind.make = [](const v1::BackendConfig& config) { return MakeOpenaiBackend(config.openai()); };
  kind.check = CheckOpenai;
  kind.secret = [](const v1::BackendConfig& config) {
    const v1::OpenaiBackend& openai = config.openai();
    return SecretUse{.secret = openai.has_api_key() ? &openai.api_key() : nullptr, .url = openai.base_url()};
  };
  return kind;
}

std::unique_ptr<Backend> MakeOpenaiBackend(const v1::OpenaiBackend& config) {
  return std::make_unique<OpenaiBackend>(config);
}

}  // namespace millrace::backend
