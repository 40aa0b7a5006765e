#include "server/engine/step/model_use.h"

#include <algorithm>

namespace millrace {
namespace {

// Returns the identities of the models that a stage calls, a line each: part of its memo keys.
StatusOr<std::string> IdentitiesOf(const EngineDeps& deps, const v1::Stage& stage, const ModelLease& lease) {
  std::string identities;
  for (const std::string& model : deps.stages.ModelsOf(stage)) {
    MR_ASSIGN_OR_RETURN(const std::string identity, deps.models.Identity(model, lease));
    if (!identities.empty()) identities.push_back('\n');
    identities += identity;
  }
  return identities;
}

}  // namespace

std::vector<std::string> ModelsOf(const EngineDeps& deps, const v1::Pipeline& definition) {
  std::vector<std::string> models;
  for (const v1::Stage& stage : definition.stages()) {
    for (const std::string& model : deps.stages.ModelsOf(stage)) {
      if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(model);
    }
  }
  return models;
}

Status SetMemoRules(StepHost& host, const v1::Pipeline& definition, const ModelLease& lease) {
  const EngineDeps& deps = host.deps();
  for (int i = 0; i < host.plan().size(); ++i) {
    const StageShape shape = host.plan().stage(i).shape;
    if (!WorksOnEach(shape) && shape != StageShape::kBarrier) continue;
    StageSlot& slot = host.slot(i);
    MR_ASSIGN_OR_RETURN(const std::string models, IdentitiesOf(deps, *slot.definition, lease));
    slot.memo_rules = std::make_shared<const MemoRules>(definition, *slot.definition,
                                                        deps.stages.Of(*slot.definition)->semantics_version, models,
                                                        host.record().run().name(), host.record().refresh());
    // A barrier memoizes its list as a whole.
    if (WorksOnEach(shape)) slot.rows->set_memo_rules(slot.memo_rules);
  }
  return absl::OkStatus();
}

}  // namespace millrace
