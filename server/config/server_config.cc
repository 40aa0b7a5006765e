#include "server/config/server_config.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>
#include <re2/re2.h>

#include <map>
#include <set>

#include "server/config/address.h"
#include "server/config/document.h"
#include "server/config/field_path.h"
#include "server/config/reader.h"
#include "server/config/rules.h"
#include "server/http/guard.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

// Target and the alias that gave its limits.
using Target = std::pair<std::string, std::string>;
struct GivenLimits {
  v1::TargetLimits limits;
  std::string alias;
};

class ConfigChecker {
 public:
  ConfigChecker(v1::ServerConfig& config, std::vector<FieldViolation>& violations)
      : config_(config), violations_(violations) {}

  void Check() {
    CheckAddress();
    for (int i = 0; i < config_.backends_size(); ++i) CheckBackend(i);
    for (int i = 0; i < config_.models_size(); ++i) CheckModel(i);
    ShareLimits();
  }

 private:
  void Refuse(std::string path, std::string what) { violations_.push_back({std::move(path), std::move(what)}); }

  void CheckAddress() {
    const std::string& address = config_.grpc().address();
    if (address.empty()) return;
    const std::optional<HostPort> parsed = ParseHostPort(address);
    if (!parsed) {
      Refuse("grpc.address", fmt::format("expected host:port, got \"{}\"", Excerpt(address)));
    } else if (!IsLoopback(parsed->host)) {
      Refuse("grpc.address",
             fmt::format("must be a loopback address such as 127.0.0.1, got \"{}\"", Excerpt(parsed->host)));
    }
  }

  void CheckBackend(int index) {
    const v1::BackendConfig& backend = config_.backends(index);
    const std::string path = PathOfElement("backends", static_cast<size_t>(index));
    if (!backend.name().empty() && !backends_.insert(backend.name()).second) {
      Refuse(path + ".name", fmt::format("there is a backend \"{}\" already", Excerpt(backend.name())));
    }
    if (backend.has_simulated() && !backend.simulated().profile_file().empty() && backend.simulated().has_profile()) {
      Refuse(path + ".simulated", "profile_file and profile are both given; only one may be");
    }
    if (!backend.has_openai()) return;
    if (!backend.openai().base_url().empty()) {
      if (const Status status = CheckBackendUrl(backend.openai().base_url()); !status.ok()) {
        Refuse(path + ".openai.base_url", std::string(MessageOf(status)));
      }
    }
    if (!backend.openai().has_api_key()) return;
    // The message does not show the value: it may be the secret itself.
    const v1::Secret& key = backend.openai().api_key();
    static const re2::RE2 name("[A-Za-z_][A-Za-z0-9_]*");
    if (key.has_env() && !re2::RE2::FullMatch(key.env(), name)) {
      Refuse(path + ".openai.api_key.env", "must be the name of an environment variable");
    }
    if (key.has_file() && key.file().empty()) Refuse(path + ".openai.api_key.file", "must not be empty");
  }

  void CheckModel(int index) {
    const v1::ModelConfig& model = config_.models(index);
    const std::string path = PathOfElement("models", static_cast<size_t>(index));
    if (!model.name().empty() && !models_.insert(model.name()).second) {
      Refuse(path + ".name", fmt::format("there is a model \"{}\" already", Excerpt(model.name())));
    }
    const v1::Retry& retry = model.retry();
    if (retry.has_initial_backoff() && retry.has_max_backoff() && retry.max_backoff() < retry.initial_backoff()) {
      Refuse(path + ".retry.max_backoff", "must be at least initial_backoff");
    }
    std::set<Target> targets;
    for (int i = 0; i < model.targets_size(); ++i) {
      const v1::TargetConfig& target = model.targets(i);
      const std::string at = PathOfElement(path + ".targets", static_cast<size_t>(i));
      if (!target.backend().empty() && !backends_.contains(target.backend())) {
        const std::vector<std::string> names(backends_.begin(), backends_.end());
        Refuse(at + ".backend",
               fmt::format("unknown backend \"{}\"{}", Excerpt(target.backend()), DidYouMean(target.backend(), names)));
      }
      if (!targets.emplace(target.backend(), target.model()).second) {
        Refuse(at, "this backend and model stand in the list already");
      }
      if (target.has_limits()) CheckLimits(target, model.name(), at);
    }
  }

  void CheckLimits(const v1::TargetConfig& target, const std::string& alias, const std::string& path) {
    v1::TargetLimits limits = target.limits();
    FillDefaults(limits, AbsentMessages::kMake);
    const auto [given, is_new] = limits_.emplace(Target(target.backend(), target.model()), GivenLimits{limits, alias});
    if (is_new || given->second.limits.SerializeAsString() == limits.SerializeAsString()) return;
    Refuse(path + ".limits", fmt::format("model \"{}\" gives the same target other limits; a target has one set, "
                                         "whichever alias leads to it",
                                         Excerpt(given->second.alias)));
  }

  // Limits that are given once hold for every alias of the target.
  void ShareLimits() {
    for (v1::ModelConfig& model : *config_.mutable_models()) {
      for (v1::TargetConfig& target : *model.mutable_targets()) {
        const auto given = limits_.find(Target(target.backend(), target.model()));
        if (given != limits_.end()) *target.mutable_limits() = given->second.limits;
      }
    }
  }

  v1::ServerConfig& config_;
  std::vector<FieldViolation>& violations_;
  std::set<std::string> backends_;
  std::set<std::string> models_;
  std::map<Target, GivenLimits> limits_;
};

// Adds violations with their places, but for those at fields that could not be read.
void AddViolations(const std::vector<FieldViolation>& violations, Reading& reading) {
  std::set<std::string> unread;
  for (const Problem& problem : reading.problems) unread.insert(problem.path);
  for (const FieldViolation& violation : violations) {
    if (unread.contains(violation.field)) continue;
    reading.problems.push_back({PlaceOf(reading.places, violation.field), violation.field, violation.description});
  }
}

// Profile files take the place of their names.
void LoadProfiles(v1::ServerConfig& config, const FileLoader& load_file, Reading& reading) {
  for (int i = 0; i < config.backends_size(); ++i) {
    v1::SimulatedBackend* simulated =
        config.backends(i).has_simulated() ? config.mutable_backends(i)->mutable_simulated() : nullptr;
    if (simulated == nullptr || simulated->profile_file().empty() || simulated->has_profile()) continue;
    const std::string path = fmt::format("backends[{}].simulated.profile_file", i);
    const StatusOr<std::string> text = load_file(simulated->profile_file());
    if (!text.ok()) {
      reading.problems.push_back(
          {PlaceOf(reading.places, path), path, fmt::format("can't read it: {}", MessageOf(text.status()))});
      continue;
    }
    StatusOr<v1::SimulatedProfile> profile = ReadSimulatedProfile(*text, simulated->profile_file());
    if (profile.ok()) {
      *simulated->mutable_profile() = *std::move(profile);
    } else {
      reading.problems.push_back({PlaceOf(reading.places, path), path, std::string(MessageOf(profile.status()))});
    }
  }
}

}  // namespace

StatusOr<v1::ServerConfig> ReadServerConfig(std::string_view text, std::string_view filename,
                                            const FileLoader& load_file) {
  MR_ASSIGN_OR_RETURN(YamlNode tree, ReadYaml(text, filename));
  if (tree.kind == YamlNode::Kind::kNull) tree.kind = YamlNode::Kind::kMap;  // an empty file: all defaults
  v1::ServerConfig config;
  Reading reading = ReadMessage(tree, config, Parameters::kNone);
  std::vector<FieldViolation> violations = CheckRules(config);
  ConfigChecker(config, violations).Check();
  AddViolations(violations, reading);
  LoadProfiles(config, load_file, reading);
  if (!reading.problems.empty()) return DefinitionError(filename, std::move(reading.problems));
  FillDefaults(config, AbsentMessages::kMake);
  return config;
}

v1::ServerConfig BuiltinServerConfig() {
  v1::ServerConfig config;
  v1::BackendConfig& backend = *config.add_backends();
  backend.set_name("local");
  backend.mutable_local();
  v1::ModelConfig& model = *config.add_models();
  model.set_name("local");
  model.add_targets()->set_backend("local");
  FillDefaults(config, AbsentMessages::kMake);
  return config;
}

StatusOr<v1::SimulatedProfile> ReadSimulatedProfile(std::string_view text, std::string_view filename) {
  MR_ASSIGN_OR_RETURN(const YamlNode tree, ReadYaml(text, filename));
  v1::SimulatedProfile profile;
  Reading reading = ReadMessage(tree, profile, Parameters::kNone);
  AddViolations(CheckRules(profile), reading);
  if (!reading.problems.empty()) return DefinitionError(filename, std::move(reading.problems));
  FillDefaults(profile, AbsentMessages::kMake);
  return profile;
}

}  // namespace millrace
