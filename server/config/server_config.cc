#include "server/config/server_config.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include <map>
#include <set>

#include "server/base/duration.h"
#include "server/config/address.h"
#include "server/config/document.h"
#include "server/config/field_path.h"
#include "server/config/reader.h"
#include "server/config/rules.h"
#include "server/config/scalar.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

// Backend and model.
using Target = std::pair<std::string, std::string>;
// Settings of a target, and the alias that gave them first.
struct GivenLimits {
  v1::TargetLimits limits;
  std::string alias;
};
struct GivenBreaker {
  v1::Breaker breaker;
  std::string alias;
};

class ConfigChecker {
 public:
  ConfigChecker(v1::ServerConfig& config, const backend::BackendKinds& kinds, const backend::YamlFileReader& read_file,
                std::vector<FieldViolation>& violations)
      : config_(config), kinds_(kinds), read_file_(read_file), violations_(violations) {}

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
    v1::BackendConfig& backend = *config_.mutable_backends(index);
    const std::string path = PathOfElement("backends", static_cast<size_t>(index));
    if (!backend.name().empty() && !backends_.insert(backend.name()).second) {
      Refuse(path + ".name", fmt::format("there is a backend \"{}\" already", Excerpt(backend.name())));
    }
    const backend::BackendKind* kind = kinds_.Of(backend);
    if (const std::string name = backend::KindNameOf(backend); kind == nullptr && !name.empty()) {
      Refuse(fmt::format("{}.{}", path, name), "this server has no such kind of backend");
    }
    if (kind == nullptr || !kind->check) return;
    std::vector<FieldViolation> violations;
    kind->check(backend, read_file_, violations);
    for (FieldViolation& violation : violations) {
      const std::string_view dot = violation.field.empty() ? "" : ".";
      Refuse(fmt::format("{}.{}{}{}", path, kind->name, dot, violation.field), std::move(violation.description));
    }
  }

  void CheckModel(int index) {
    const v1::ModelConfig& model = config_.models(index);
    const std::string path = PathOfElement("models", static_cast<size_t>(index));
    if (!model.name().empty() && !models_.insert(model.name()).second) {
      Refuse(path + ".name", fmt::format("there is a model \"{}\" already", Excerpt(model.name())));
    }
    CheckRetry(model.retry(), path + ".retry");
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
      CheckBreaker(target, model, path, at);
    }
  }

  void CheckRetry(const v1::Retry& given, const std::string& path) {
    v1::Retry retry = given;
    FillDefaults(retry, AbsentMessages::kMake);
    if (retry.max_backoff() >= retry.initial_backoff()) return;
    if (!given.has_max_backoff()) {
      Refuse(path + ".initial_backoff", fmt::format("must be at most max_backoff, which is {} by default",
                                                    FormatDuration(ToDuration(retry.max_backoff()))));
    } else if (!given.has_initial_backoff()) {
      Refuse(path + ".max_backoff", fmt::format("must be at least initial_backoff, which is {} by default",
                                                FormatDuration(ToDuration(retry.initial_backoff()))));
    } else {
      Refuse(path + ".max_backoff", "must be at least initial_backoff");
    }
  }

  // `path` is the model's, `at` its target's.
  void CheckBreaker(const v1::TargetConfig& target, const v1::ModelConfig& model, const std::string& path,
                    const std::string& at) {
    v1::Breaker breaker = model.breaker();
    FillDefaults(breaker, AbsentMessages::kMake);
    const auto [found, is_new] =
        breakers_.emplace(Target(target.backend(), target.model()), GivenBreaker{breaker, model.name()});
    const GivenBreaker& given = found->second;
    if (is_new || google::protobuf::util::MessageDifferencer::Equals(given.breaker, breaker)) return;
    Refuse(
        model.has_breaker() ? path + ".breaker" : at,
        fmt::format("model \"{}\" gives target {}/{} another breaker; a target has one, so give both models the same "
                    "`breaker`",
                    Excerpt(given.alias), Excerpt(target.backend()), Excerpt(target.model())));
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
  const backend::BackendKinds& kinds_;
  const backend::YamlFileReader& read_file_;
  std::vector<FieldViolation>& violations_;
  std::set<std::string> backends_;
  std::set<std::string> models_;
  std::map<Target, GivenLimits> limits_;
  std::map<Target, GivenBreaker> breakers_;
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

// Reads a YAML file into a message, which replaces its content.
Status ReadYamlMessage(std::string_view text, std::string_view filename, google::protobuf::Message& message) {
  MR_ASSIGN_OR_RETURN(const YamlNode tree, ReadYaml(text, filename));
  message.Clear();
  Reading reading = ReadMessage(tree, message, Parameters::kNone);
  AddViolations(CheckRules(message), reading);
  if (!reading.problems.empty()) return DefinitionError(filename, std::move(reading.problems));
  FillDefaults(message, AbsentMessages::kMake);
  return absl::OkStatus();
}

}  // namespace

StatusOr<v1::ServerConfig> ReadServerConfig(std::string_view text, std::string_view filename,
                                            const FileLoader& load_file, const backend::BackendKinds& kinds) {
  MR_ASSIGN_OR_RETURN(YamlNode tree, ReadYaml(text, filename));
  if (tree.kind == YamlNode::Kind::kNull) tree.kind = YamlNode::Kind::kMap;  // an empty file: all defaults
  v1::ServerConfig config;
  Reading reading = ReadMessage(tree, config, Parameters::kNone);
  std::vector<FieldViolation> violations = CheckRules(config);
  const backend::YamlFileReader read_file = [&load_file](const std::string& path, google::protobuf::Message& message) {
    const StatusOr<std::string> content = load_file(path);
    if (!content.ok()) return WithContext(content.status(), "can't read it");
    return ReadYamlMessage(*content, path, message);
  };
  ConfigChecker(config, kinds, read_file, violations).Check();
  AddViolations(violations, reading);
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
  v1::SimulatedProfile profile;
  MR_RETURN_IF_ERROR(ReadYamlMessage(text, filename, profile));
  return profile;
}

}  // namespace millrace
