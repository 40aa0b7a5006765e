// A target that answers no call before a human acts: its key is refused, its quota is used up, it does not have the
// model, or its host name does not exist. Waiting cures none of these, so a run pauses if no other target is left.
#pragma once

#include <string>

#include "backends/sdk/backend.h"
#include "server/base/reason.h"

namespace millrace {

class Target;

struct Blockage {
  std::string target;  // `backend/model`
  Reason reason = Reason::kNone;
  std::string error;   // the provider's words
  std::string advice;  // for people: the setting, variable or account to correct
};

// Describes the failure of a target as people need it.
Blockage BlockageOf(const Target& target, const backend::Failure& failure);

}  // namespace millrace
