// Fields of a run's sources, seen at their beginning, and the check that the stages read no other ones. So a misspelt
// field is found before the first call.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/config/fields_read.h"
#include "server/engine/engine_deps.h"
#include "server/engine/step/step_host.h"
#include "server/stages/fetch_stage.h"
#include "server/stages/stage_work.h"

namespace millrace {

// Stages of a definition as they were made. Shared, because they are read on the pool.
using StageWorks = std::vector<std::shared_ptr<const StageWork>>;

// Returns the fields of rows; nullopt if no row is good.
std::optional<SourceFields> FieldsOfRows(const std::vector<FetchedRow>& rows);

// Reads the beginning of each file that a fetch reads: the header, or up to 1,000 items or 4 MiB. Leaves out fetches in
// `client_inputs`, and sources that can't be read or have no items, because the run itself reports those. `files`: those
// that the run may read; they must outlive the call.
Task<SourcesSeen> SeeFiles(const EngineDeps& deps, const EngineOptions& options, const FileAccess& files,
                           StageWorks work, std::shared_ptr<const v1::Pipeline> definition, std::set<std::string> client_inputs);

// Returns the fields of items that a request has for a fetch; nullopt if none is good.
Task<std::optional<SourceFields>> SeeItems(const EngineDeps& deps, std::shared_ptr<const StageWork> work,
                                           v1::InlineItems items);

// Checks the fields that stages read against those of the sources, on the pool. INVALID_ARGUMENT (INVALID_DEFINITION)
// with every field that no item has, by its path in the definition.
Task<Status> CheckFieldsRead(const EngineDeps& deps, std::shared_ptr<const v1::Pipeline> definition,
                             SourcesSeen sources);

// Checks them against the first items that a client has sent to a fetch of a run, which has begun before they came.
// Adds what it sees to `seen`, which belongs to the run. If several fetches wait for clients, the check is complete
// once each has items. Errors: those of CheckFieldsRead.
Task<Status> CheckFirstInput(StepHost& host, std::shared_ptr<const v1::Pipeline> definition, int stage,
                             SourcesSeen& seen);

}  // namespace millrace
