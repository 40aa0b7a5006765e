// Makes the stages of a definition, and loads a run's state from its records.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/stop_signal.h"
#include "server/base/work_meter.h"
#include "server/engine/run/run.h"

namespace millrace {

// The stages of a definition, ready to work. Nothing of them is stored.
struct MadeStages {
  std::shared_ptr<const v1::Pipeline> definition;
  std::vector<std::shared_ptr<const StageWork>> work;
  std::vector<std::optional<rules::ConditionEvaluator>> when;  // by stage
  Plan plan;
  std::shared_ptr<const FileAccess> files = nullptr;  // null: those of the engine
};

// Returns the limits for the work on a definition that comes from a client: patterns and files may take long.
WorkLimits DefinitionLimits();

// Makes every stage, on the pool for checks. `files`: facts of the run's creation that matter for its files; none for a
// new run without typed paths. INVALID_ARGUMENT (INVALID_DEFINITION: also if a limit is reached), and the errors of the
// kinds.
// CANCELLED if `left` stops, which may be null.
Task<StatusOr<MadeStages>> MakeStages(const EngineDeps& deps, std::shared_ptr<const v1::Pipeline> definition,
                                      RunFiles files, WorkLimits limits, std::shared_ptr<StopSignal> left);

// Returns the stages of a run in the state that its records have. Reads the records from `store`, whose errors it
// returns; the stages work with `patient`, which waits while the store is down.
Task<StatusOr<RunStages>> LoadStages(const EngineDeps& deps, Store& store, Store& patient, MadeStages made,
                                     const storage::v1::RunRecord& record);

// A run's newest event: its number, and the time that the run had worked by then.
struct NewestEvent {
  int64_t number = 0;
  std::optional<google::protobuf::Duration> active_time;
};
Task<StatusOr<NewestEvent>> LoadNewestEvent(Store& store, const std::string& run);

// Returns whether the items of a fetch come from a client: its source is inline, or the run was created with the fetch
// among its `client_inputs`.
bool TakesClientInput(const FetchStage& fetch, const storage::v1::RunRecord& record, const std::string& stage);

}  // namespace millrace
