// Makes the stages of a definition, and loads a run's state from its records.
#pragma once

#include <memory>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/engine/run/run.h"

namespace millrace {

// The stages of a definition, ready to work. Nothing of them is stored.
struct MadeStages {
  std::shared_ptr<const v1::Pipeline> definition;
  std::vector<std::shared_ptr<const StageWork>> work;
  Plan plan;
};

// Makes every stage, on the pool. INVALID_ARGUMENT (INVALID_DEFINITION), and the errors of the kinds.
Task<StatusOr<MadeStages>> MakeStages(const EngineDeps& deps, std::shared_ptr<const v1::Pipeline> definition);

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
