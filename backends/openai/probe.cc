#include "backends/openai/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "backends/openai/endpoint.h"
#include "backends/openai/failure.h"
#include "backends/sdk/reply_json.h"
#include "backends/sdk/status_meaning.h"
#include "server/base/json.h"

namespace millrace::backend::openai {
namespace {

constexpr size_t kModelsMax = 10'000;

// Returns a name as lists may have it in another form: Ollama adds a tag, Google a folder.
std::string ListedName(std::string name) {
  constexpr std::string_view kFolder = "models/";
  constexpr std::string_view kUsualTag = ":latest";
  if (name.starts_with(kFolder)) name.erase(0, kFolder.size());
  if (name.ends_with(kUsualTag)) name.resize(name.size() - kUsualTag.size());
  return name;
}

class OpenaiProbe final : public HttpProbe {
 public:
  OpenaiProbe(const v1::OpenaiBackend& config, std::vector<std::string> models)
      : config_(config), asked_(std::move(models)) {}

 private:
  Step Begin() override { return Get("/models"); }

  Step Read(const Response& response) override {
    if (tries_version_) return ReadVersioned(response);
    if (HasNoList(response)) {
      state_.note = fmt::format("lists no models (HTTP {})", response.status);
      if (HasVersion(config_)) return WithoutList();
      tries_version_ = true;
      return Get("/v1/models");
    }
    const Head head{.status = response.status, .headers = response.headers};
    if (!IsSuccess(response.status)) return ReadFailure(config_, head, response.body);
    const StatusOr<json::value> value = ParseReply(response.body);
    const json::value* models = ModelsIn(value);
    if (models == nullptr) {
      const std::string advice = HasVersion(config_) ? "" : "; " + UrlAdvice(config_);
      return BadAnswer(head,
                       fmt::format("the server's answer has no list of models: {}{}", Excerpt(response.body), advice));
    }
    if (models->get_array().size() > kModelsMax) {
      state_.note = "lists too many models";
      return WithoutList();
    }
    bool takes_any = false;
    for (const json::value& model : models->get_array()) {
      state_.models.push_back({.name = TextAt(model, "id"), .revision = {}, .loaded = {}});
      takes_any |= TextAt(model, "owned_by") == "llamacpp";
    }
    takes_any &= state_.models.size() == 1;
    if (takes_any) state_.note = fmt::format("answers to every name with its model {}", Excerpt(state_.models[0].name));
    for (const std::string& model : asked_) state_.asked.push_back(takes_any ? AskedModel() : Find(model));
    return std::move(state_);
  }

  // Reads the list of models at the URL with a version: if it is there, the configured URL is wrong.
  Step ReadVersioned(const Response& response) {
    const StatusOr<json::value> value = ParseReply(response.body);
    if (!IsSuccess(response.status) || ModelsIn(value) == nullptr) {
      state_.note += "; " + UrlAdvice(config_);
      return WithoutList();
    }
    const std::string right = RequestTo(config_, "/v1", "").url;
    state_.note += fmt::format("; its API is at {}: correct base_url", right);
    AskedModel asked;
    asked.problem = fmt::format("base_url lacks the version; write {}", right);
    state_.asked.assign(asked_.size(), asked);
    return std::move(state_);
  }

  SendHttp Get(std::string_view path) const {
    SendHttp send = RequestTo(config_, path, "");
    send.method = "GET";
    send.billable = false;
    send.headers.emplace_back("Accept", "application/json");
    return send;
  }

  // Chats need no list of models, and some servers have none.
  static bool HasNoList(const Response& response) {
    return response.status == 404 || response.status == 405 || response.status == 501;
  }

  Step WithoutList() {
    state_.asked.assign(asked_.size(), AskedModel());
    return std::move(state_);
  }

  // Returns the list; null if it is not one.
  static const json::value* ModelsIn(const StatusOr<json::value>& value) {
    const json::value* models = value.ok() ? FindPath(*value, "data") : nullptr;
    return models != nullptr && models->is_array() ? models : nullptr;
  }

  AskedModel Find(const std::string& model) const {
    const bool is_listed = std::any_of(state_.models.begin(), state_.models.end(), [&](const ServedModel& served) {
      return ListedName(served.name) == ListedName(model);
    });
    // Azure lists models, and requests name deployments of them.
    if (is_listed || config_.base_url().find(".azure.com") != std::string::npos) return {};
    return {.revision = {}, .problem = "the server's list of models does not have it"};
  }

  const v1::OpenaiBackend& config_;
  const std::vector<std::string> asked_;
  ServerState state_;
  bool tries_version_ = false;
};

}  // namespace

std::unique_ptr<Probe> MakeProbe(const v1::OpenaiBackend& config, std::vector<std::string> models) {
  return std::make_unique<OpenaiProbe>(config, std::move(models));
}

}  // namespace millrace::backend::openai
