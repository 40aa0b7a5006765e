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

class OpenaiProbe final : public HttpProbe {
 public:
  OpenaiProbe(const v1::OpenaiBackend& config, std::vector<std::string> models)
      : config_(config), asked_(std::move(models)) {}

 private:
  Step Begin() override {
    SendHttp send = RequestTo(config_, "/models", "");
    send.method = "GET";
    send.billable = false;
    send.headers.emplace_back("Accept", "application/json");
    return send;
  }

  Step Read(const Response& response) override {
    // Chats need no list of models, and some servers have none.
    if (response.status == 404 || response.status == 405 || response.status == 501) {
      return WithoutList(fmt::format("lists no models (HTTP {})", response.status));
    }
    const Head head{.status = response.status, .headers = response.headers};
    if (!IsSuccess(response.status)) return ReadFailure(head, response.body);
    const StatusOr<json::value> value = ParseReply(response.body);
    const json::value* models = value.ok() ? FindPath(*value, "data") : nullptr;
    if (models == nullptr || !models->is_array()) {
      return BadAnswer(head, fmt::format("the server's answer has no list of models: {}", Excerpt(response.body)));
    }
    if (models->get_array().size() > kModelsMax) return WithoutList("lists too many models");
    ServerState state;
    for (const json::value& model : models->get_array()) {
      state.models.push_back({.name = TextAt(model, "id"), .revision = {}, .loaded = {}});
    }
    for (const std::string& model : asked_) state.asked.push_back(Find(state.models, model));
    return state;
  }

  Step WithoutList(std::string note) const {
    ServerState state;
    state.asked.resize(asked_.size());
    state.note = std::move(note);
    return state;
  }

  static AskedModel Find(const std::vector<ServedModel>& models, const std::string& model) {
    const bool is_listed =
        std::any_of(models.begin(), models.end(), [&model](const ServedModel& served) { return served.name == model; });
    // Some servers answer with one model to every name, so this says only what is certain.
    return {.revision = {}, .problem = is_listed ? "" : "the server's list of models does not have it"};
  }

  const v1::OpenaiBackend& config_;
  const std::vector<std::string> asked_;
};

}  // namespace

std::unique_ptr<Probe> MakeProbe(const v1::OpenaiBackend& config, std::vector<std::string> models) {
  return std::make_unique<OpenaiProbe>(config, std::move(models));
}

}  // namespace millrace::backend::openai
