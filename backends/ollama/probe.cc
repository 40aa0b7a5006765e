#include "backends/ollama/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>
#include <utility>

#include "backends/ollama/failure.h"
#include "backends/sdk/reply_json.h"
#include "server/base/json.h"

namespace millrace::backend::ollama {
namespace {

constexpr size_t kModelsMax = 10'000;
constexpr double kBytesMax = 1e18;

// Returns a number of bytes or tokens; 0 if it is absent or absurd.
int64_t NumberAt(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  if (found == nullptr || !found->is_number()) return 0;
  const double number = found->is_double() ? found->get_double() : found->to_number<double>();
  return number >= 0 && number <= kBytesMax ? static_cast<int64_t>(number) : 0;
}

class OllamaProbe final : public HttpProbe {
 public:
  OllamaProbe(MakeGet get, std::vector<std::string> models) : get_(std::move(get)), asked_(std::move(models)) {}

 private:
  Step Begin() override { return get_("/api/version"); }

  Step Read(const Response& response) override {
    if (response.status < 200 || response.status >= 300) return ReadFailure(response, "");
    const StatusOr<json::value> value = ParseReply(response.body);
    if (!value.ok() || !value->is_object()) {
      return BadResponse(response.status, "the server's answer is not a JSON object: " + Excerpt(response.body));
    }
    switch (step_++) {
      case 0:
        state_.version = TextAt(*value, "version");
        return get_("/api/tags");
      case 1:
        if (!ReadModels(*value, &OllamaProbe::AddModel)) return NoModels(response);
        return get_("/api/ps");
      default:
        if (!ReadModels(*value, &OllamaProbe::AddLoaded)) return NoModels(response);
        for (const std::string& model : asked_) state_.asked.push_back(Find(model));
        return std::move(state_);
    }
  }

  using Add = void (OllamaProbe::*)(const json::value& model);

  static Failure NoModels(const Response& response) {
    return BadResponse(response.status, "the server's answer has no list of models: " + Excerpt(response.body));
  }

  // Returns false without a list of at most kModelsMax models.
  bool ReadModels(const json::value& value, Add add) {
    const json::value* models = FindPath(value, "models");
    if (models == nullptr) return false;
    if (models->is_null()) return true;  // Go's empty list
    if (!models->is_array() || models->get_array().size() > kModelsMax) return false;
    for (const json::value& model : models->get_array()) (this->*add)(model);
    return true;
  }

  void AddModel(const json::value& model) {
    state_.models.push_back({.name = TextAt(model, "name"), .revision = TextAt(model, "digest"), .loaded = {}});
  }

  void AddLoaded(const json::value& model) {
    const std::string name = TextAt(model, "name");
    auto known = std::find_if(state_.models.begin(), state_.models.end(),
                              [&](const ServedModel& served) { return served.name == name; });
    if (known == state_.models.end()) {  // it was removed, or renamed, after it was loaded
      AddModel(model);
      known = std::prev(state_.models.end());
    }
    known->loaded = LoadedModel{.memory_bytes = NumberAt(model, "size"),
                                .gpu_bytes = NumberAt(model, "size_vram"),
                                .context = NumberAt(model, "context_length")};
  }

  AskedModel Find(const std::string& model) const {
    const std::string name = ListedName(model);
    for (const ServedModel& served : state_.models) {
      if (ListedName(served.name) == name) return {.revision = served.revision, .problem = {}};
    }
    return {.revision = {},
            .problem =
                fmt::format("the server does not have it; run `ollama pull {}` on its machine", Excerpt(model, 256))};
  }

  const MakeGet get_;
  const std::vector<std::string> asked_;
  int step_ = 0;
  ServerState state_;
};

}  // namespace

std::unique_ptr<Probe> MakeProbe(MakeGet get, std::vector<std::string> models) {
  return std::make_unique<OllamaProbe>(std::move(get), std::move(models));
}

std::string ListedName(std::string_view model) {
  std::string name(model);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const std::string_view usual : {"registry.ollama.ai/", "library/"}) {
    if (name.starts_with(usual)) name.erase(0, usual.size());
  }
  const size_t slash = name.rfind('/');  // a colon before it belongs to a host's port
  if (name.find(':', slash == std::string::npos ? 0 : slash) == std::string::npos) name += ":latest";
  return name;
}

}  // namespace millrace::backend::ollama
