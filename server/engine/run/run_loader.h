// From a definition to stages that can work, and from a run's records back to the run.
#pragma once

#include <memory>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/engine/run/run.h"

namespace millrace {

// What a definition's stages are made of; nothing is stored.
struct MadeStages {
  std::shared_ptr<const v1::Pipeline> definition;
  std::vector<std::shared_ptr<const StageWork>> work;
  Plan plan;
};

// Makes every stage, on the pool. INVALID_ARGUMENT (INVALID_DEFINITION and what kinds refuse).
Task<StatusOr<MadeStages>> MakeStages(const EngineDeps& deps, std::shared_ptr<const v1::Pipeline> definition);

// The stages of a run as its records have them; `store` is where they are read, `patient` where they work.
Task<StatusOr<RunStages>> LoadStages(const EngineDeps& deps, Store& store, Store& patient, MadeStages made,
                                     const storage::v1::RunRecord& record);

// The number of a run's newest event, and the time that it had worked by then.
struct NewestEvent {
  int64_t number = 0;
  std::optional<google::protobuf::Duration> active_time;
};
Task<StatusOr<NewestEvent>> LoadNewestEvent(Store& store, const std::string& run);

// Whose input comes from the client: inline sources, and those that the run was created so.
bool TakesClientInput(const FetchStage& fetch, const storage::v1::RunRecord& record, const std::string& stage);

}  // namespace millrace
