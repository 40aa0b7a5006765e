#include "backends/ollama/ollama.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <utility>

#include "backends/ollama/answer.h"
#include "backends/ollama/context.h"
#include "backends/ollama/errand.h"
#include "backends/ollama/failure.h"
#include "backends/ollama/keep_alive.h"
#include "backends/ollama/options.h"
#include "backends/ollama/probe.h"
#include "backends/ollama/question.h"
#include "backends/sdk/deferred.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/ndjson.h"
#include "backends/sdk/reply_json.h"
#include "server/http/guard.h"

namespace millrace::backend {
namespace {

// Part of a call's key. Increment it when the same question is worded differently.
constexpr int kDialectVersion = 1;

constexpr int32_t kNumCtxMaxDefault = 32768;

class OllamaChat final : public Exchange {
 public:
  OllamaChat(SendHttp request, ollama::Asked asked) : request_(std::move(request)), asked_(std::move(asked)) {}

  Action Next(Input input) override {
    if (std::holds_alternative<Resume>(input)) return std::move(request_);
    if (auto* head = std::get_if<Head>(&input)) {
      response_ = {.status = head->status, .headers = std::move(head->headers), .body = {}};
      if (response_.status >= 200 && response_.status < 300) reader_.emplace(asked_, response_.status);
      return More();
    }
    if (const auto* bytes = std::get_if<Bytes>(&input)) return Read(bytes->bytes);
    return reader_ ? End() : Fail{ollama::ReadFailure(response_, asked_.model)};
  }

 private:
  Action Read(std::string_view bytes) {
    if (!reader_) {
      response_.body.append(bytes.substr(0, ollama::kFailureBytesMax - response_.body.size()));
      return More();
    }
    More more;
    lines_.Add(bytes);
    while (const std::optional<std::string_view> line = lines_.Next()) {
      if (std::optional<Failure> failure = reader_->Read(*line, more.delta)) return Fail{*std::move(failure)};
    }
    if (lines_.is_too_long())
      return Fail{ollama::BadResponse(response_.status, "a line of the server's answer is too long")};
    return more;
  }

  Action End() {
    const std::optional<std::string_view> rest = lines_.Rest();
    if (!rest) return reader_->End();
    if (rest->starts_with('{') && !ParseReply(*rest).ok()) {
      return Fail{ollama::CutStream(response_.status, "the server's answer ended inside a line")};
    }
    std::string delta;  // the answer has it
    if (std::optional<Failure> failure = reader_->Read(*rest, delta)) return Fail{*std::move(failure)};
    return reader_->End();
  }

  SendHttp request_;
  const ollama::Asked asked_;
  Response response_;  // its body is kept only if its status is not 2xx
  NdjsonReader lines_;
  std::optional<ollama::ChatReader> reader_;
};

class OllamaEmbedding final : public WholeBodyExchange {
 public:
  OllamaEmbedding(SendHttp request, ollama::Asked asked, size_t texts, std::optional<int32_t> dimensions)
      : WholeBodyExchange(std::move(request)), asked_(std::move(asked)), texts_(texts), dimensions_(dimensions) {}

 private:
  Action Read(Response response) const override {
    return ollama::ReadEmbeddings(asked_, texts_, dimensions_, response);
  }

  const ollama::Asked asked_;
  const size_t texts_;
  const std::optional<int32_t> dimensions_;
};

class OllamaBackend final : public Backend {
 public:
  explicit OllamaBackend(const v1::OllamaBackend& config) : config_(config), options_(ollama::ReadOptions(config)) {
    manifest_.kind = "ollama";
    manifest_.protocol_family = "ollama-chat";
    manifest_.dialect_version = kDialectVersion;
    // A server on one's own machine costs nothing; one that wants a key may be somebody's service.
    manifest_.may_bill = config.has_api_key();
    manifest_.answer_options = options_.for_key;
    manifest_.warnings = options_.warnings;
    manifest_.description = "Ollama's own API.";
    manifest_.upkeep = {.warms_up = config.warm_up() || config.keep_warm(),
                        .keep_warm = config.keep_warm() ? ollama::KeepWarmEvery(config.keep_alive()) : Duration::zero(),
                        .unloads = config.unload_after_run(),
                        .pulls = config.pull()};
    manifest_.reports_revisions = true;
    manifest_.if_unreachable = "start it with `ollama serve` on its machine, or correct base_url";
    if (config_.num_ctx_max() == 0) config_.set_num_ctx_max(kNumCtxMaxDefault);
    while (config_.base_url().ends_with('/')) config_.mutable_base_url()->pop_back();
  }

  const Manifest& manifest() const override { return manifest_; }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    return std::holds_alternative<Request>(question) ? Chat(question) : Embed(question);
  }

  // Ollama has no limit of its own. More texts in a request save little, and its answer comes only when all are done.
  EmbedLimits embed_limits(std::string_view) const override { return {.texts = 64, .tokens = 0}; }

  std::unique_ptr<Probe> StartProbe(std::vector<std::string> models) const override {
    return ollama::MakeProbe([this](std::string_view path) { return Get(path); }, std::move(models));
  }

  std::unique_ptr<Exchange> StartErrand(Errand errand, const std::string& model) const override {
    const auto post = [this](std::string_view path, std::string body) {
      SendHttp send = Post(path, std::move(body));
      send.billable = false;
      return send;
    };
    if (errand == Errand::kUnload) return ollama::MakeUnload(model, post("/api/chat", ollama::UnloadBody(model)));
    if (errand == Errand::kPull) return ollama::MakePull(model, post("/api/pull", ollama::PullBody(model)));
    const auto used = contexts_.find(model);
    const int64_t num_ctx =
        options_.num_ctx ? *options_.num_ctx : (used != contexts_.end() ? used->second : ollama::ContextFor(0));
    std::vector<SendHttp> requests;
    requests.push_back(post("/api/chat", ollama::LoadByChatBody(config_, options_, model, num_ctx)));
    requests.push_back(post("/api/embed", ollama::LoadByEmbedBody(config_, options_, model, num_ctx)));
    return ollama::MakeWarmUp(model, std::move(requests));
  }

 private:
  std::unique_ptr<Exchange> Chat(const Question& question) {
    const Request& request = std::get<Request>(question);
    ollama::Asked asked{.model = request.model, .tokens_at_least = ollama::PromptTokensAtLeast(request)};
    const int64_t needed = ollama::PromptTokensAtMost(request) + request.max_tokens;
    if (std::optional<Failure> failure = SetContext(asked, asked.tokens_at_least, needed)) {
      return FailedExchange(*std::move(failure));
    }
    return StartWhenUsed(question, [this, asked](const Question& used) {
      SendHttp send = Post("/api/chat", ollama::ChatBody(config_, options_, std::get<Request>(used), asked.num_ctx));
      return std::make_unique<OllamaChat>(std::move(send), asked);
    });
  }

  std::unique_ptr<Exchange> Embed(const Question& question) {
    const EmbedRequest& request = std::get<EmbedRequest>(question);
    ollama::Asked asked{.model = request.model};
    int64_t longest = 0;
    int64_t needed = 0;
    for (const std::string& text : request.texts) {
      const int64_t at_least = ollama::TokensAtLeast(text);
      asked.tokens_at_least += at_least;
      longest = std::max(longest, at_least);
      needed = std::max(needed, ollama::TokensAtMost(text));
    }
    if (std::optional<Failure> failure = SetContext(asked, longest, needed)) return FailedExchange(*std::move(failure));
    return StartWhenUsed(question, [this, asked](const Question& used) {
      const EmbedRequest& embed = std::get<EmbedRequest>(used);
      SendHttp send = Post("/api/embed", ollama::EmbedBody(config_, options_, embed, asked.num_ctx));
      return std::make_unique<OllamaEmbedding>(std::move(send), asked, embed.texts.size(), embed.dimensions);
    });
  }

  // Chooses num_ctx. Returns a failure if no context is large enough.
  std::optional<Failure> SetContext(ollama::Asked& asked, int64_t at_least, int64_t needed) {
    const int64_t max = options_.num_ctx.value_or(config_.num_ctx_max());
    if (at_least >= max) {
      return ollama::PromptTooLong(
          0, fmt::format("the prompt has at least {} tokens, and `{}` is {}; raise it or shorten the prompt", at_least,
                         options_.num_ctx ? "options.num_ctx" : "num_ctx_max", max));
    }
    asked.num_ctx = options_.num_ctx ? *options_.num_ctx : Grow(asked.model, std::min(ollama::ContextFor(needed), max));
    return std::nullopt;
  }

  // Returns the largest context that the model has needed so far: a smaller one would load the model again, and a long
  // prompt after it once more.
  int64_t Grow(const std::string& model, int64_t num_ctx) {
    int64_t& largest = contexts_[model];
    largest = std::max(largest, num_ctx);
    return largest;
  }

  SendHttp Get(std::string_view path) const {
    SendHttp send = Post(path, "");
    send.method = "GET";
    send.billable = false;
    return send;
  }

  SendHttp Post(std::string_view path, std::string body) const {
    SendHttp send;
    send.url = fmt::format("{}{}", config_.base_url(), path);
    send.headers = {{"Content-Type", "application/json"},
                    {"Accept", "application/x-ndjson, application/json"},
                    {"User-Agent", "millrace"}};
    if (config_.has_api_key()) send.auth = HeaderAuth{.header = "Authorization", .scheme = "Bearer "};
    send.body = std::move(body);
    return send;
  }

  v1::OllamaBackend config_;
  const ollama::Options options_;
  Manifest manifest_;
  std::map<std::string, int64_t> contexts_;  // by model; models are those of the configuration
};

void CheckOllama(v1::BackendConfig& config, const YamlFileReader&, std::vector<FieldViolation>& violations) {
  const v1::OllamaBackend& ollama = config.ollama();
  if (!ollama.base_url().empty()) {
    const Status status = CheckBackendUrl(ollama.base_url());
    if (!status.ok()) violations.push_back({"base_url", std::string(MessageOf(status))});
  }
  if (ollama.has_api_key()) CheckSecret(ollama.api_key(), "api_key", violations);
  ollama::CheckOptions(ollama, violations);
  ollama::CheckUpkeep(ollama, violations);
}

}  // namespace

BackendKind OllamaKind() {
  BackendKind kind;
  kind.name = "ollama";
  kind.make = [](const v1::BackendConfig& config) { return MakeOllamaBackend(config.ollama()); };
  kind.check = CheckOllama;
  kind.secret = [](const v1::BackendConfig& config) {
    const v1::OllamaBackend& ollama = config.ollama();
    return SecretUse{.secret = ollama.has_api_key() ? &ollama.api_key() : nullptr, .url = ollama.base_url()};
  };
  return kind;
}

std::unique_ptr<Backend> MakeOllamaBackend(const v1::OllamaBackend& config) {
  return std::make_unique<OllamaBackend>(config);
}

}  // namespace millrace::backend
