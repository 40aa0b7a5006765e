// Classes of outcomes. Every policy branches on these, and none on a status code.
#pragma once

#include <string>

#include "backends/sdk/backend.h"
#include "millrace/v1/run.pb.h"
#include "server/base/status.h"
#include "server/http/client.h"

namespace millrace {

// Class of a failure: whose it is, and whether another attempt may help.
enum class FailureKind {
  kTarget,       // the target's: the call returns to its queue, however often
  kTargetFinal,  // the target's until a human repairs it (credentials, quota, unknown model, unknown host)
  kCallFinal,    // the call's own: this target will never accept it
  kCallAgain,    // the call's own: another attempt may succeed; counts against `max_attempts`
  kUnknown,      // the target's, and maybe billed: `on_unknown` decides
};
FailureKind KindOf(backend::Outcome outcome);

// Returns the outcome as the ledger keeps it.
v1::AttemptOutcome AttemptOutcomeOf(backend::Outcome outcome);
// Returns whether an attempt with this outcome may have been billed although no answer is known.
bool IsMaybeBilled(v1::AttemptOutcome outcome);

// Returns the failure of a request without a whole answer, by the bytes on the wire. REQUIRES: `result.outcome` is
// neither kAnswered nor kEnded.
backend::Failure FailureOf(const HttpResult& result);

// Returns the error of a call that ends because of a failure.
Status ErrorOf(const backend::Failure& failure);

}  // namespace millrace
