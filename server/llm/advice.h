// Advice to people about a failure of a target, and errors that have it.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "server/base/status.h"
#include "server/llm/blockage.h"
#include "server/llm/target.h"

namespace millrace {

// Returns what to correct if a target refuses all calls for this reason: the setting, variable or account.
std::string AdviceOn(const BackendEntry& entry, std::string_view model, Reason reason);

// Returns the error of a call that is not asked again: the target, the provider's words, and what a person can do.
Status ErrorAt(const Target& target, const backend::Failure& failure);
Status ErrorOf(const Blockage& blockage);

}  // namespace millrace
