// What the parts of the engine share: each group of methods has a file of its own.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "server/engine/async_mutex.h"
#include "server/engine/engine.h"
#include "server/engine/patient_store.h"
#include "server/engine/run/parking.h"
#include "server/engine/run/run.h"
#include "server/engine/run/run_loader.h"

namespace millrace {

// A run wherever it is: in memory, or as records only.
struct FoundRun {
  std::shared_ptr<ActiveRun> active;  // null: it has come to rest, or was set aside
  storage::v1::RunRecord record;      // as stored; of an active run, as of its last change of state
  v1::Run run;                        // as clients see it now

  // Of a run that is not in memory the shapes of its stages are known by their kinds. DATA_LOSS (STORE_CORRUPT).
  StatusOr<Plan> MakePlan() const;
};

struct Engine::State {
  State(EngineDeps parts, Random random, EngineOptions options);

  // NOT_FOUND (RUN_NOT_FOUND).
  Task<StatusOr<FoundRun>> Find(std::string run);
  // The same, with a run that was set aside taken into memory. One that still can't go on: the error, or its end where
  // it `cancels`.
  Task<StatusOr<FoundRun>> TakeUp(std::string run, bool cancels);
  // An active run, or an ended one taken back into memory, at rest.
  Task<StatusOr<std::shared_ptr<ActiveRun>>> Load(storage::v1::RunRecord record);
  // Ends a run that is not in memory.
  Task<Status> EndUnloaded(storage::v1::RunRecord record, v1::RunState ended_as, std::optional<v1::RunError> error);
  std::shared_ptr<ActiveRun> FindActive(const std::string& run) const;
  std::shared_ptr<ActiveRun> MakeRun(storage::v1::RunRecord record, RunStages stages, int64_t last_event);

  // New work is taken: UNAVAILABLE (DRAINING, STORE_UNAVAILABLE), RESOURCE_EXHAUSTED (DISK_LOW).
  Status CheckOpen() const;
  // The same of what changes runs that are there: refused only while the store takes nothing.
  Status CheckStore() const;
  // Wakes runs when the store's state changes.
  Task<void> WatchStore();

  Task<StatusOr<v1::AppliedPipeline>> FindPipeline(std::string name);
  // The definition that a request names or brings, checked.
  Task<StatusOr<v1::AppliedPipeline>> Resolve(std::string name, const v1::Pipeline* definition);
  // The same with its parameters in place and its stages made. Errors of all that goes into it.
  struct Prepared {
    v1::AppliedPipeline applied;
    ParameterValues parameters;
    std::shared_ptr<const v1::Pipeline> definition;
    MadeStages made;
  };
  Task<StatusOr<Prepared>> Prepare(std::string name, const v1::Pipeline* definition,
                                   google::protobuf::Map<std::string, v1::ParameterValue> parameters,
                                   std::set<std::string> client_inputs);
  StatusOr<BoundPipeline> Bind(const v1::Pipeline& pipeline, const ParameterValues& values,
                               const std::set<std::string>& client_inputs) const;

  const EngineDeps parts;
  Random random;
  const EngineOptions options;
  PatientStore patient;
  const int64_t start_micros;
  bool draining = false;
  std::map<std::string, std::shared_ptr<ActiveRun>> runs;  // that have not come to rest
  // Paused runs that are not in memory, with their pipelines: their stages could not be made when the server started.
  std::map<std::string, std::string> set_aside;
  MemoFigures memos;
  Parking parking;
  AsyncMutex pipelines_turn;
  std::map<std::string, std::shared_ptr<AsyncMutex>> request_turns;
  std::map<std::string, std::shared_ptr<AsyncMutex>> run_turns;  // of taking an ended run back into memory
};

// One holder at a time by name; entries that nobody waits for go.
class NamedMutex {
 public:
  NamedMutex(std::map<std::string, std::shared_ptr<AsyncMutex>>& turns, Loop& loop, std::string name)
      : turns_(turns), name_(std::move(name)) {
    std::shared_ptr<AsyncMutex>& turn = turns_[name_];
    if (!turn) turn = std::make_shared<AsyncMutex>(loop);
    turn_ = turn;
  }
  NamedMutex(const NamedMutex&) = delete;
  ~NamedMutex() {
    turn_.reset();
    const auto found = turns_.find(name_);
    if (found != turns_.end() && found->second.use_count() == 1) turns_.erase(found);
  }
  AsyncMutex& operator*() { return *turn_; }

 private:
  std::map<std::string, std::shared_ptr<AsyncMutex>>& turns_;
  const std::string name_;
  std::shared_ptr<AsyncMutex> turn_;
};

}  // namespace millrace
