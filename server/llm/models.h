// The configured models: backends, targets, and the aliases by which pipelines name them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/admin_service.pb.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/llm/model_directory.h"
#include "server/llm/target.h"

namespace millrace {

// Engine thread only.
class Models {
 public:
  Models(Loop& loop, std::vector<std::unique_ptr<BackendEntry>> backends);

  // Adds an alias. INVALID_ARGUMENT (INVALID_DEFINITION) if it names an unknown backend, exists already, or gives a
  // target another limit than an alias before it.
  Status AddAlias(const v1::ModelConfig& config);

  // Returns null if the alias is not configured.
  const Alias* FindAlias(std::string_view name) const;
  // NOT_FOUND (MODEL_NOT_FOUND) for an alias that is not configured, with the nearest one that is.
  Status NoSuchModel(std::string_view name) const;
  // Returns how the alias embeds texts if its models have these identities, without `models`. See ModelDirectory.
  static StatusOr<EmbedPlan> PlanEmbedding(const Alias& alias, const Identities& identities);
  // Returns whether every target of the alias is free of charge: no configuration has prices yet. False for an unknown
  // alias.
  bool HasKnownCost(std::string_view alias) const;

  const std::vector<std::unique_ptr<BackendEntry>>& backends() const { return backends_; }
  const std::vector<std::unique_ptr<Target>>& targets() const { return targets_; }
  // Returns the models of a backend's targets, in the order of targets().
  std::vector<std::string> ModelsAt(const BackendEntry& entry) const;
  v1::ListModelsResponse ListModels() const;

 private:
  StatusOr<BackendEntry*> FindBackend(const v1::ModelConfig& config, const std::string& name) const;
  StatusOr<Target*> AddTarget(const v1::ModelConfig& config, const v1::TargetConfig& target_config);
  // Returns the name of an alias that leads to the target.
  std::string FindUser(const Target& target) const;

  Loop& loop_;
  std::vector<std::unique_ptr<BackendEntry>> backends_;  // by name
  std::vector<std::unique_ptr<Target>> targets_;         // as first named
  std::map<std::string, Alias, std::less<>> aliases_;
};

}  // namespace millrace
