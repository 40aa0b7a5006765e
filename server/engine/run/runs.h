// The runs of the server: the active ones, which are in memory, and all others, which are only records in the store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "server/engine/named_mutex.h"
#include "server/engine/run/parking.h"
#include "server/engine/run/run.h"
#include "server/engine/run/run_loader.h"
#include "server/engine/work_gate.h"

namespace millrace {

// A run, in memory or not.
struct FoundRun {
  std::shared_ptr<ActiveRun> active;  // null: only records
  storage::v1::RunRecord record;      // as stored; that of an active run is as of its last change of state
  v1::Run run;                        // as clients see it now
};

// Engine thread. Its invariants:
// - At most one ActiveRun exists for a run.
// - A run that has not ended is active, unless it is *unloadable*. It stays active until it is at rest: it has ended,
//   and nothing of it is in flight.
// - An unloadable run is one whose stages could not be made when the server started, because of the configuration: a
//   model is missing, or a file is not allowed. Only a pause or a cancellation changes its record: a running run shows
//   REASON_CONFIG and continues when a server with another configuration starts. A request that loads it ends that; if
//   it still can't be loaded, only a cancellation ends the run.
// - Whoever loads, redrives or deletes a run that is not active holds its mutex (Lock).
class Runs {
 public:
  // `store` is a patient store; `gate` says whether new runs start. All arguments must outlive it.
  Runs(const EngineDeps& deps, const EngineOptions& options, Store& store, const WorkGate& gate);
  Runs(const Runs&) = delete;

  // Loads the runs that have not ended, and starts those that ran if EngineOptions::starts_runs. Call it once, before
  // anything else. Reads a few records per run; the work that depends on the number of items happens later, in the
  // background.
  Task<Status> Recover();

  // NOT_FOUND (RUN_NOT_FOUND).
  Task<StatusOr<FoundRun>> Find(std::string name);
  // Loads the run first if it is unloadable. If that fails: returns the error, or cancels the run.
  enum class IfUnloadable { kFail, kCancel };
  Task<StatusOr<FoundRun>> FindLoaded(std::string name, IfUnloadable otherwise);
  // Returns the run's plan. If the run is not active, its stages have the shapes of their kinds. DATA_LOSS
  // (STORE_CORRUPT), INVALID_ARGUMENT (INVALID_DEFINITION: a kind is not known any more).
  StatusOr<Plan> PlanOf(const FoundRun& found) const;
  // Null: the run is not active.
  std::shared_ptr<ActiveRun> FindActive(const std::string& name) const;
  bool IsUnloadable(const std::string& name) const { return unloadable_.contains(name); }
  // Sets what an unloadable run waits for, if it is running. `run` is as stored; of another run it is not changed.
  void ShowWait(v1::Run& run) const;
  // Pauses a run that is unloadable, so that it does not continue before a client resumes it.
  Task<StatusOr<v1::Run>> PauseUnloadable(std::string name);

  // Returns whether the run is active or unloadable, and has not ended.
  bool IsOpen(const std::string& name) const;
  int64_t CountOpen() const;
  // Returns the number of runs that are not at rest: the open ones, and those whose last calls are being stored.
  int64_t CountUnrested() const { return static_cast<int64_t>(active_.size() + unloadable_.size()); }
  // The name of an open run of a pipeline; nullopt: none.
  std::optional<std::string> FindOpenRunOf(const std::string& pipeline) const;

  // Makes a run active whose records were just committed, and starts it unless the server drains.
  Task<StatusOr<std::shared_ptr<ActiveRun>>> Add(storage::v1::RunRecord record, MadeStages made);
  // Makes a run active that is only records; it rests until it is started. REQUIRES: its mutex is held.
  Task<StatusOr<std::shared_ptr<ActiveRun>>> Load(storage::v1::RunRecord record);
  // Takes an active run that rests out of memory. REQUIRES: its mutex is held, and nothing of it is in flight.
  void Unload(const std::string& name) { active_.erase(name); }
  // Resumes when no other request loads, redrives or deletes the run.
  Task<NamedMutex::Holder> Lock(std::string name) { return mutexes_.Enter(std::move(name)); }

  // Starts nothing more; resumes when nothing is in flight, or at `deadline`. Runs keep their states and continue at
  // the next start.
  Task<void> Drain(TimePoint deadline);

  // Look-ups of memos by all runs since the start.
  const MemoFigures& memo_figures() const { return memo_figures_; }

 private:
  std::shared_ptr<ActiveRun> Activate(storage::v1::RunRecord record, RunStages stages, int64_t last_event);
  // Keeps a run whose stages can't be made as unloadable. A server ends a run whose records are damaged: it fails.
  Task<Status> GiveUpLoading(storage::v1::RunRecord record, Status why);
  // Pauses a run that is not active, and leaves it as records: the server was killed while it worked on it, time and
  // again.
  Task<Status> PauseForRestarts(storage::v1::RunRecord record);
  // Commits the record of a run that is not active, with the event of its new state and `batch`.
  Task<Status> StoreInactive(storage::v1::RunRecord record, NewestEvent newest, WriteBatch batch);
  // Records another state of a run that is not active. A pause needs `waiting_on` in the record.
  Task<Status> ChangeInactive(storage::v1::RunRecord record, v1::RunState state, std::optional<v1::RunError> error);
  // Wakes all runs whenever the store's state changes; never resumes for good.
  Task<void> WatchStore();

  const EngineDeps& deps_;
  const EngineOptions& options_;
  Store& store_;
  const WorkGate& gate_;
  std::map<std::string, std::shared_ptr<ActiveRun>> active_;
  struct Unloadable {
    std::string pipeline;
    v1::WaitingOn waiting;  // REASON_CONFIG
  };
  std::map<std::string, Unloadable> unloadable_;  // by run
  MemoFigures memo_figures_;
  Parking parking_;
  NamedMutex mutexes_;
};

}  // namespace millrace
