// Advice to people about a run that does not proceed by itself.
#pragma once

#include <string>

#include "client/cli/commands.h"
#include "client/lib/client.h"
#include "millrace/v1/run.pb.h"

namespace millrace::cli {

// Returns true if a process was killed while it worked on the run, and nothing works on it now.
bool IsInterrupted(const v1::Run& run);

// Returns a line with the command that continues an interrupted run; empty for another run.
std::string InterruptedHint(const Session& session, const v1::Run& run);

// Returns such a line for each of the newest interrupted runs of a pipeline, except `run`.
std::string InterruptedHints(const Session& session, client::Client& client, const std::string& pipeline,
                             const std::string& run);

// Returns why a run that has not ended does not proceed, and what to do; empty if it has ended.
std::string StateHint(const Session& session, const v1::Run& run);

}  // namespace millrace::cli
