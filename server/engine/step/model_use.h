// The models that a run's stages call, in one episode of the run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/engine/step/step_host.h"
#include "server/llm/model_lease.h"

namespace millrace {

// Returns the aliases of all models that the definition's stages call, each once.
std::vector<std::string> ModelsOf(const EngineDeps& deps, const v1::Pipeline& definition);

// Makes the memo rules of the stages with the identities of the lease, which are constant for the episode. `definition`
// is that of the host's run. NOT_FOUND (MODEL_NOT_FOUND).
Status SetMemoRules(StepHost& host, const v1::Pipeline& definition, const ModelLease& lease);

}  // namespace millrace
