#include "backends/openai/openai.h"

#include <utility>

#include "backends/openai/answer.h"
#include "backends/openai/question.h"
#include "backends/sdk/http_call.h"
#include "server/http/guard.h"

namespace millrace::backend {
namespace {

// Part of a call's key. Increment it when the same question is worded differently.
constexpr int kDialectVersion = 1;

class OpenaiExchange final : public WholeBodyExchange {
 public:
  using WholeBodyExchange::WholeBodyExchange;

 private:
  Action Read(Response response) const override { return openai::ReadAnswer(response); }
};

class OpenaiBackend final : public Backend {
 public:
  explicit OpenaiBackend(const v1::OpenaiBackend& config) : config_(config) {
    manifest_.kind = "openai";
    manifest_.protocol_family = "openai-chat";
    manifest_.dialect_version = kDialectVersion;
    manifest_.description = "OpenAI's chat completions API, or a server that is compatible with it.";
    while (config_.base_url().ends_with('/')) config_.mutable_base_url()->pop_back();
  }

  const Manifest& manifest() const override { return manifest_; }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    const auto* request = std::get_if<Request>(&question);
    if (request == nullptr) return FailedExchange(EmbedsNothing(manifest_.kind));
    SendHttp send;
    send.url = config_.base_url() + "/chat/completions";
    send.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}, {"User-Agent", "millrace"}};
    if (config_.has_api_key()) send.auth = HeaderAuth{.header = "Authorization", .scheme = "Bearer "};
    send.body = openai::QuestionBody(config_, *request);
    return std::make_unique<OpenaiExchange>(std::move(send));
  }

 private:
  v1::OpenaiBackend config_;
  Manifest manifest_;
};

void CheckOpenai(v1::BackendConfig& config, const YamlFileReader&, std::vector<FieldViolation>& violations) {
  const v1::OpenaiBackend& openai = config.openai();
  if (!openai.base_url().empty()) {
    const Status status = CheckBackendUrl(openai.base_url());
    if (!status.ok()) violations.push_back({"base_url", std::string(MessageOf(status))});
  }
  if (openai.has_api_key()) CheckSecret(openai.api_key(), "api_key", violations);
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
