#include "backends/remote/remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "backends/remote/wire.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/probe.h"
#include "backends/sdk/status_meaning.h"
#include "server/base/json.h"
#include "server/base/status.h"
#include "server/http/guard.h"

namespace millrace::backend {
namespace {

// Part of a call's key. Increment it when the same question is worded differently.
constexpr int kDialectVersion = 1;
// Texts of one EmbedRequest, so that one process without batches of its own answers within the time limits.
constexpr int32_t kTextsMax = 64;
// Tokens of one EmbedRequest, so that it is below the 4 MiB that gRPC servers accept by default.
constexpr int64_t kTokensMax = 250'000;
constexpr char kService[] = "millrace.backend.v1.BackendService";

// Returns the failure of an RPC that failed. Its status is that of HTTP with the same meaning, its body the words.
Failure FailureOfRpc(std::string_view method, int status, const Headers& headers, std::string_view words) {
  Failure failure = FailureOfStatus(status, headers, words);
  if (words.empty() || status < 400) return failure;
  failure.message = Excerpt(words, 512);
  if (words.starts_with("UNIMPLEMENTED")) {
    failure.message += fmt::format(
        "; the process at `address` does not serve {}: correct `address`, implement {}, or "
        "use another target",
        kService, method);
  } else if (status == 413) {
    failure.message += "; raise the limit of messages that the process receives (by default 4 MiB)";
  }
  return failure;
}

Failure BrokenOff(std::string message) {
  return {.outcome = Outcome::kPartial,
          .reason = Reason::kTargetFailed,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = 200};
}

// Returns an answer of the expected version as Done. Another version is a mistake of the configuration, and every other
// call would be paid in vain; so a human must repair it first.
Action Accept(remote::Reported reported, const std::string& answer_version) {
  if (reported.answer_version == answer_version) return Done{std::move(reported.answer)};
  return Fail{
      {.outcome = Outcome::kCredentials,
       .reason = Reason::kTargetFailed,
       .message = fmt::format("the backend's answers have version `{}`, not `{}`; correct `answer_version` in its "
                              "configuration",
                              Excerpt(reported.answer_version, 128), answer_version),
       .retry_after = std::nullopt,
       .http_status = 200}};
}

class GenerateExchange final : public Exchange {
 public:
  GenerateExchange(SendHttp request, std::string answer_version)
      : request_(std::move(request)), answer_version_(std::move(answer_version)) {}

  Action Next(Input input) override {
    if (std::holds_alternative<Resume>(input)) return std::move(request_);
    if (auto* head = std::get_if<Head>(&input)) {
      head_ = std::move(*head);
      return More();
    }
    if (auto* bytes = std::get_if<Bytes>(&input)) {
      if (IsSuccess(head_.status)) return Read(bytes->bytes);
      words_ += bytes->bytes;
      return More();
    }
    if (!IsSuccess(head_.status)) return Fail{FailureOfRpc("Generate", head_.status, head_.headers, words_)};
    return Fail{BrokenOff("the stream ended before the answer was complete")};
  }

 private:
  Action Read(std::string_view bytes) {
    frames_.Add(bytes);
    std::string delta;
    while (std::optional<std::string> message = frames_.Next()) {
      remote::Meaning meaning = remote::ReadGenerate(*message);
      if (auto* part = std::get_if<remote::Delta>(&meaning)) {
        text_ += part->text;
        delta += part->text;
        continue;
      }
      if (auto* failure = std::get_if<Failure>(&meaning)) {
        if (!text_.empty() && failure->outcome != Outcome::kAnsweredBad) failure->outcome = Outcome::kPartial;
        return Fail{std::move(*failure)};
      }
      auto& reported = std::get<remote::Reported>(meaning);
      reported.answer.text.insert(0, text_);
      return Accept(std::move(reported), answer_version_);
    }
    if (frames_.is_bad()) return Fail{remote::BadResponse("the response does not consist of messages")};
    return More{std::move(delta)};
  }

  SendHttp request_;
  const std::string answer_version_;
  Head head_;
  std::string words_;  // of an RPC that failed
  remote::Frames frames_;
  std::string text_;  // all deltas
};

// Returns the one message of a response; nullopt if it is not one message.
std::optional<std::string> OneMessage(const Response& response) {
  remote::Frames frames;
  frames.Add(response.body);
  std::optional<std::string> message = frames.Next();
  if (!frames.is_empty()) return std::nullopt;
  return message;
}

class EmbedExchange final : public WholeBodyExchange {
 public:
  EmbedExchange(SendHttp request, const EmbedRequest& question, std::string answer_version)
      : WholeBodyExchange(std::move(request)),
        texts_(question.texts.size()),
        dimensions_(question.dimensions),
        answer_version_(std::move(answer_version)) {}

 private:
  Action Read(Response response) const override {
    if (!IsSuccess(response.status))
      return Fail{FailureOfRpc("Embed", response.status, response.headers, response.body)};
    const std::optional<std::string> message = OneMessage(response);
    if (!message) return Fail{remote::BadResponse("the response is not one message")};
    remote::Meaning meaning = remote::ReadEmbed(*message, texts_, dimensions_);
    if (auto* failure = std::get_if<Failure>(&meaning)) return Fail{std::move(*failure)};
    return Accept(std::move(std::get<remote::Reported>(meaning)), answer_version_);
  }

  const size_t texts_;
  const std::optional<int32_t> dimensions_;
  const std::string answer_version_;
};

class RemoteProbe final : public HttpProbe {
 public:
  RemoteProbe(SendHttp request, std::vector<std::string> models, std::string answer_version)
      : request_(std::move(request)), models_(std::move(models)), answer_version_(std::move(answer_version)) {}

 private:
  Step Begin() override { return std::move(request_); }

  Step Read(const Response& response) override {
    if (!IsSuccess(response.status)) return FailureOfRpc("Describe", response.status, response.headers, response.body);
    const std::optional<std::string> message = OneMessage(response);
    std::optional<remote::Description> description = message ? remote::ReadDescription(*message) : std::nullopt;
    if (!description) return remote::BadResponse("the response is not a description");
    ServerState state;
    state.version = Excerpt(description->name, 100);
    for (const std::string& name : description->models) {
      state.models.push_back({.name = name, .revision = description->answer_version, .loaded = std::nullopt});
    }
    for (const std::string& model : models_) {
      AskedModel& asked = state.asked.emplace_back();
      asked.revision = description->answer_version;
      const auto& known = description->models;
      if (!known.empty() && std::find(known.begin(), known.end(), model) == known.end()) {
        asked.problem = fmt::format("the backend has no model `{}`", model);
      }
    }
    if (description->answer_version != answer_version_) {
      state.note = fmt::format("its answers have version `{}`, not `{}`; correct `answer_version`",
                               Excerpt(description->answer_version, 128), answer_version_);
    }
    return state;
  }

  SendHttp request_;
  const std::vector<std::string> models_;
  const std::string answer_version_;
};

class RemoteBackend final : public Backend {
 public:
  RemoteBackend(const v1::RemoteBackend& config, std::string origin) : config_(config), origin_(std::move(origin)) {
    manifest_.kind = "remote";
    manifest_.protocol_family = "millrace-backend-v1";
    manifest_.dialect_version = kDialectVersion;
    manifest_.may_bill = config.may_bill();
    if (!config.answer_version().empty()) {
      manifest_.answer_options = json::serialize(json::object{{"answer_version", config.answer_version()}});
    }
    manifest_.kept_headers = {"retry-after", "retry-after-ms"};
    manifest_.description = "A process of yours, in any language, over gRPC.";
    manifest_.if_unreachable = "start the process that serves it, or correct address";
  }

  const Manifest& manifest() const override { return manifest_; }

  std::unique_ptr<Exchange> Start(const Question& question, uint64_t) override {
    if (const auto* embed = std::get_if<EmbedRequest>(&question)) {
      return std::make_unique<EmbedExchange>(Call("Embed", remote::EmbedMessage(*embed)), *embed,
                                             config_.answer_version());
    }
    return std::make_unique<GenerateExchange>(Call("Generate", remote::GenerateMessage(std::get<Request>(question))),
                                              config_.answer_version());
  }

  EmbedLimits embed_limits(std::string_view) const override { return {.texts = kTextsMax, .tokens = kTokensMax}; }

  std::unique_ptr<Probe> StartProbe(std::vector<std::string> models) const override {
    SendHttp call = Call("Describe", "");
    call.billable = false;
    return std::make_unique<RemoteProbe>(std::move(call), std::move(models), config_.answer_version());
  }

 private:
  SendHttp Call(std::string_view method, std::string message) const {
    SendHttp send;
    send.url = fmt::format("{}/{}/{}", origin_, kService, method);
    if (config_.has_token()) send.auth = HeaderAuth{.header = "authorization", .scheme = "Bearer "};
    send.body = std::move(message);
    return send;
  }

  const v1::RemoteBackend config_;
  const std::string origin_;
  Manifest manifest_;
};

std::string OriginFor(const v1::RemoteBackend& config) {
  return fmt::format("{}://{}", config.tls() ? "grpcs" : "grpc", config.address());
}

void CheckRemote(v1::BackendConfig& config, const YamlFileReader&, std::vector<FieldViolation>& violations) {
  const v1::RemoteBackend& remote = config.remote();
  const std::string& address = remote.address();
  const size_t colon = address.rfind(':');
  if (!address.empty()) {
    const bool has_port =
        colon != std::string::npos && colon + 1 < address.size() && address.find(']', colon) == std::string::npos;
    const Status status = CheckBackendUrl((remote.tls() ? "https://" : "http://") + address);
    if (address.find('/') != std::string::npos || !has_port) {
      violations.push_back({"address", "must be `host:port`, such as 127.0.0.1:7001"});
    } else if (!status.ok()) {
      violations.push_back({"address", remote.tls()
                                           ? std::string(MessageOf(status))
                                           : "is neither a loopback nor a private address with a port from 1 to "
                                             "65535; others need `tls: true`"});
    }
  }
  if (!remote.ca_file().empty() && !remote.tls()) violations.push_back({"ca_file", "needs `tls: true`"});
  if (remote.has_token()) CheckSecret(remote.token(), "token", violations);
}

}  // namespace

BackendKind RemoteKind() {
  BackendKind kind;
  kind.name = "remote";
  kind.make = [](const v1::BackendConfig& config) {
    return MakeRemoteBackend(config.remote(), OriginFor(config.remote()));
  };
  kind.check = CheckRemote;
  kind.secret = [](const v1::BackendConfig& config) {
    const v1::RemoteBackend& remote = config.remote();
    return SecretUse{.secret = remote.has_token() ? &remote.token() : nullptr, .url = OriginFor(remote)};
  };
  kind.trust = [](const v1::BackendConfig& config) -> std::optional<TrustUse> {
    const v1::RemoteBackend& remote = config.remote();
    if (remote.ca_file().empty()) return std::nullopt;
    return TrustUse{.ca_file = remote.ca_file(), .url = OriginFor(remote)};
  };
  return kind;
}

std::unique_ptr<Backend> MakeRemoteBackend(const v1::RemoteBackend& config, const std::string& origin) {
  return std::make_unique<RemoteBackend>(config, origin);
}

}  // namespace millrace::backend
