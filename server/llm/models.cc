#include "server/llm/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/base/duration.h"
#include "server/llm/target_info.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

// Texts of one request at most. Vectors of 4,096 numbers in decimal digits, of which each takes 14 bytes or fewer, then
// fit into the default of `max_response_bytes`, 8 MiB.
constexpr size_t kEmbedTextsMax = 128;
constexpr int32_t kExtraDefault = 3;  // `max_extra`

Status WrongModel(const v1::ModelConfig& config, std::string_view what) {
  return MakeError(Reason::kInvalidDefinition, fmt::format("model `{}`: {}", config.name(), what));
}

TargetSettings SettingsOf(const v1::ModelConfig& model, const v1::TargetLimits& limits) {
  TargetSettings settings;
  if (limits.has_max_concurrency()) {
    settings.max_concurrency = limits.max_concurrency().has_slots() ? limits.max_concurrency().slots() : 0;
  }
  settings.rpm = limits.rpm();
  settings.tpm = limits.tpm();
  settings.embed_texts = limits.embed_texts();
  const v1::Breaker& breaker = model.breaker();
  if (breaker.failure_ratio() > 0) settings.breaker.failure_ratio = breaker.failure_ratio();
  if (breaker.has_window()) settings.breaker.window = ToDuration(breaker.window());
  if (breaker.has_cooldown()) settings.breaker.cooldown = ToDuration(breaker.cooldown());
  return settings;
}

void ReadPolicies(const v1::ModelConfig& config, Alias& alias) {
  if (config.retry().max_attempts() > 0) alias.retry.max_attempts = config.retry().max_attempts();
  if (config.retry().has_initial_backoff()) alias.retry.initial_backoff = ToDuration(config.retry().initial_backoff());
  if (config.retry().has_max_backoff()) alias.retry.max_backoff = ToDuration(config.retry().max_backoff());
  alias.retry.max_extra = config.has_max_extra() ? config.max_extra() : kExtraDefault;
  if (config.on_unknown() == v1::ON_UNKNOWN_FAIL) alias.retry.on_unknown = UnknownPolicy::kFail;
  const v1::Timeouts& timeouts = config.timeout();
  if (timeouts.has_connect()) alias.timeouts.connect = ToDuration(timeouts.connect());
  if (timeouts.has_first_byte()) alias.timeouts.first_byte = ToDuration(timeouts.first_byte());
  if (timeouts.has_idle()) alias.timeouts.idle = ToDuration(timeouts.idle());
  if (timeouts.has_total()) alias.timeouts.total = ToDuration(timeouts.total());
  if (config.cache().has_ttl()) alias.ttl = ToDuration(config.cache().ttl());
}

}  // namespace

Models::Models(Loop& loop, std::vector<std::unique_ptr<BackendEntry>> backends)
    : loop_(loop), backends_(std::move(backends)) {
  std::sort(backends_.begin(), backends_.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
}

Status Models::AddAlias(const v1::ModelConfig& config) {
  if (aliases_.contains(config.name())) {
    return MakeError(Reason::kInvalidDefinition, fmt::format("duplicate model `{}`", config.name()));
  }
  if (config.targets().empty()) return WrongModel(config, "it has no target");
  Alias alias;
  alias.name = config.name();
  for (const v1::TargetConfig& target_config : config.targets()) {
    MR_ASSIGN_OR_RETURN(Target* const target, AddTarget(config, target_config));
    const bool reports = target->manifest().reports_revisions && target_config.revision().empty();
    alias.routes.push_back({.target = target,
                            .priority = target_config.priority(),
                            .identity = target->Identity(target_config.revision()),
                            .reports_revision = reports});
    alias.reports_revisions |= reports;
  }
  std::stable_sort(alias.routes.begin(), alias.routes.end(),
                   [](const Route& a, const Route& b) { return a.priority < b.priority; });
  if (!alias.reports_revisions) {
    Identities identities;
    for (const Route& route : alias.routes) identities.push_back(route.identity);
    alias.identities = std::make_shared<const Identities>(std::move(identities));
  }
  ReadPolicies(config, alias);
  aliases_.emplace(alias.name, std::move(alias));
  return absl::OkStatus();
}

StatusOr<BackendEntry*> Models::FindBackend(const v1::ModelConfig& config, const std::string& name) const {
  const auto entry = std::find_if(backends_.begin(), backends_.end(),
                                  [&name](const auto& candidate) { return candidate->name == name; });
  if (entry == backends_.end()) return WrongModel(config, fmt::format("no backend `{}`", Excerpt(name)));
  return entry->get();
}

StatusOr<Target*> Models::AddTarget(const v1::ModelConfig& config, const v1::TargetConfig& target_config) {
  MR_ASSIGN_OR_RETURN(BackendEntry* const entry, FindBackend(config, target_config.backend()));
  const TargetSettings settings = SettingsOf(config, target_config.limits());
  const auto known = std::find_if(targets_.begin(), targets_.end(), [&](const auto& target) {
    return &target->entry() == entry && target->model() == target_config.model();
  });
  if (known == targets_.end()) {
    targets_.push_back(std::make_unique<Target>(loop_, *entry, target_config.model(), settings));
    return targets_.back().get();
  }
  if (const TargetSettings& given = (*known)->settings(); given != settings) {
    const bool is_breaker = !(given.breaker == settings.breaker);
    return MakeError(
        Reason::kInvalidDefinition,
        fmt::format("models `{}` and `{}` give target `{}` different {}; give both the same", FindUser(**known),
                    config.name(), (*known)->Name(), is_breaker ? "breakers" : "limits"));
  }
  return known->get();
}

std::string Models::FindUser(const Target& target) const {
  for (const auto& [name, alias] : aliases_) {
    const auto leads = [&target](const Route& route) { return route.target == &target; };
    if (std::any_of(alias.routes.begin(), alias.routes.end(), leads)) return name;
  }
  return "";
}

const Alias* Models::FindAlias(std::string_view name) const {
  const auto found = aliases_.find(name);
  return found == aliases_.end() ? nullptr : &found->second;
}

Status Models::NoSuchModel(std::string_view name) const {
  std::vector<std::string> names;
  for (const auto& [known, alias] : aliases_) names.push_back(known);
  std::string known = DidYouMean(name, names);
  if (known.empty()) known = fmt::format("; known: {}", Excerpt(fmt::format("{}", fmt::join(names, ", ")), 256));
  return MakeError(Reason::kModelNotFound, fmt::format("no model `{}` is configured{}", Excerpt(name), known));
}

StatusOr<EmbedPlan> Models::PlanEmbedding(const Alias& alias, const Identities& identities) {
  const Target& first = *alias.routes.front().target;
  EmbedPlan plan{.identity = identities.front(),
                 .model = first.model(),
                 .texts_max = kEmbedTextsMax,
                 .tokens_max = 0,
                 .ttl = alias.ttl};
  for (size_t i = 0; i < alias.routes.size(); ++i) {
    const Target& target = *alias.routes[i].target;
    if (identities[i] != plan.identity) {
      const std::string message = fmt::format(
          "the targets {} and {} of model `{}` are different models, whose vectors can't be compared: use an alias "
          "whose targets are one model",
          first.Name(), target.Name(), Excerpt(alias.name));
      return MakeFieldError(Reason::kInvalidField, message, {{"model", message}});
    }
    const backend::EmbedLimits limits = target.entry().backend->embed_limits(target.model());
    if (limits.texts <= 0) {
      return MakeError(Reason::kRequestRefused,
                       fmt::format("model `{}`: its target {} (backend kind `{}`) does not embed", Excerpt(alias.name),
                                   target.Name(), target.manifest().kind));
    }
    plan.texts_max = std::min(plan.texts_max, static_cast<size_t>(limits.texts));
    const int32_t configured = target.settings().embed_texts;
    if (configured > 0) plan.texts_max = std::min(plan.texts_max, static_cast<size_t>(configured));
    if (limits.tokens > 0)
      plan.tokens_max = plan.tokens_max > 0 ? std::min(plan.tokens_max, limits.tokens) : limits.tokens;
  }
  return plan;
}

bool Models::HasKnownCost(std::string_view name) const {
  const Alias* alias = FindAlias(name);
  return alias != nullptr && std::all_of(alias->routes.begin(), alias->routes.end(),
                                         [](const Route& route) { return route.target->manifest().free_of_charge; });
}

std::vector<std::string> Models::ModelsAt(const BackendEntry& entry) const {
  std::vector<std::string> models;
  for (const auto& target : targets_) {
    if (&target->entry() == &entry) models.push_back(target->model());
  }
  return models;
}

v1::ListModelsResponse Models::ListModels() const {
  v1::ListModelsResponse response;
  for (const auto& [name, alias] : aliases_) {
    v1::ModelInfo& model = *response.add_models();
    model.set_name(name);
    for (const Route& route : alias.routes) {
      *model.add_targets() = InfoOf(*route.target, loop_.clock());
    }
  }
  return response;
}

}  // namespace millrace
