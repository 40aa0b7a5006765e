// What an outcome means for the call: every policy branches on this, and none on a status code.
#pragma once

#include <string>

#include "backends/sdk/backend.h"
#include "millrace/v1/run.pb.h"
#include "server/base/status.h"
#include "server/http/client.h"

namespace millrace {

// Whose failure it is.
enum class FailureKind {
  kTarget,       // the call goes back to its queue, however often
  kTargetFinal,  // the same; somebody must mend it first (credentials, quota), and who waits for one answer is told
  kCallFinal,    // the call's own: this target will never take it
  kCallAgain,    // the call's own: another try may mend it; counts against `max_attempts`
  kUnknown,      // the target's, maybe billed: by `on_unknown`
};
FailureKind KindOf(backend::Outcome outcome);

// As the ledger has it.
v1::AttemptOutcome AttemptOutcomeOf(backend::Outcome outcome);
// An attempt with this outcome may have been billed although no answer is known.
bool IsMaybeBilled(v1::AttemptOutcome outcome);

// A request that did not come to a whole answer, by the bytes on the wire. `result.outcome` is not kAnswered.
backend::Failure FailureOf(const HttpResult& result);

// The error that a call ends with because of a failure.
Status ErrorOf(const backend::Failure& failure);

}  // namespace millrace
