// Runs that can't work with the configuration of this process. They wait for one that has what they need: a look at
// the store, or a server that was started with another file, must not end a run for which answers were paid.
#pragma once

#include <cstdint>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/engine/engine_deps.h"

namespace millrace {

// Returns what a run waits for whose stages could not be made because of `why`: REASON_CONFIG with the names of all
// models of its definition that are not configured, and the remedy.
v1::WaitingOn WaitForConfig(const EngineDeps& deps, const storage::v1::RunRecord& record, const Status& why);

}  // namespace millrace
