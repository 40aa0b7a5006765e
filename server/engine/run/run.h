// A run in memory: its state, stages and events. It lives from the run's creation, or a restart, until the run has
// ended and nothing of it is in flight. Then the run is only records in the store.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/loop.h"
#include "server/engine/async_mutex.h"
#include "server/engine/engine_deps.h"
#include "server/engine/plan.h"
#include "server/engine/run/run_calls.h"
#include "server/engine/run/run_trace.h"
#include "server/engine/run/source_fields.h"
#include "server/engine/step/step.h"
#include "server/llm/live_attempts.h"
#include "server/storage/ledger.h"
#include "server/storage/taken_over.h"

namespace millrace {

bool IsEnded(v1::RunState state);

// Counts of memo look-ups since the server's start.
struct MemoFigures {
  int64_t hits = 0;
  int64_t misses = 0;
  int64_t corrupt = 0;
};

// Callbacks from a run to its engine.
struct RunHooks {
  std::function<void(const std::string& run)> rested;  // it has ended and nothing of it is in flight
  std::function<void()> look_for_parked;               // an item was parked, or can be woken again
  MemoFigures* memos = nullptr;
};

// Stages of a run, ready to work (run_loader.h makes them).
struct RunStages {
  std::shared_ptr<const v1::Pipeline> definition;
  Plan plan;
  std::vector<std::unique_ptr<StageSlot>> slots;
  std::shared_ptr<const FileAccess> files;  // null: those of the engine
};

// Engine thread. Its coroutines hold shared pointers to it.
class ActiveRun final : public StepHost, public std::enable_shared_from_this<ActiveRun> {
 public:
  // `record` has no definition; `stages` has it.
  ActiveRun(const EngineDeps& deps, const EngineOptions& options, Store& store, storage::v1::RunRecord record,
            RunStages stages, int64_t last_event, RunHooks hooks);

  // Begins an episode: works until the run ends or is paused. Finishes an interrupted redrive or cancellation first.
  void Start();

  // Change the state for a client. The new state is durable when they resume; OK if the run is in it already. Error:
  // FAILED_PRECONDITION (WRONG_RUN_STATE).
  Task<Status> Pause();
  Task<Status> Resume();
  Task<Status> Cancel();
  // Redrives the items of an ended run that the request names, and starts the run. Returns the number of items.
  Task<StatusOr<int64_t>> Redrive(v1::RedriveRunRequest request);
  // Starts a running run that EngineOptions::starts_runs left at rest, because somebody waits for it.
  void Follow();
  // Links the trace of the episode with the request that started it.
  void LinkWith(trace::Span& starter) { trace_.LinkWith(starter); }
  // Shows attempts that an earlier process left unsettled, until the run starts.
  void ShowLeft(std::vector<PendingCall> pending);
  // Reads the attempts of this run that other runs have settled since. If they can't be read, the counts keep those
  // that were read before.
  Task<void> ReadTakenOver();
  void ShowTakenOver(TakenOver taken_over) { taken_over_ = std::move(taken_over); }
  // Sets the number of starts without progress, as stored.
  void set_starts(int starts) { starts_ = starts; }
  // Tells that the run was read from the store: it has begun before.
  void SetLoaded() { is_loaded_ = true; }
  // Keeps it from starting in this process.
  void KeepAtRest() { draining_ = true; }
  // Starts no more work in this process; the state stays. Resumes when nothing is in flight, or at `deadline`.
  Task<void> Drain(TimePoint deadline);

  // Returns the run as clients may see it: in the state that is stored.
  v1::Run Snapshot();
  v1::RunState state() const { return record_.run().state(); }
  v1::RunState recorded_state() const { return recorded_state_; }
  const std::string& name() const { return record_.run().name(); }
  bool working() const { return working_; }
  int64_t last_event() const { return last_event_; }
  // Event that is notified when the state has changed, an event was committed, or the episode is over.
  Event& changed() { return changed_; }
  const v1::Pipeline& definition() const { return *stages_.definition; }

  // Makes the stages look again, because an input has grown or was closed, or the store has room again.
  void WakeSteps();
  void WakeParked(const std::string& stage, int64_t ordinal, int64_t wake_micros);

  const EngineDeps& deps() const override { return deps_; }
  const EngineOptions& options() const override { return options_; }
  Store& store() override { return store_; }
  const Plan& plan() const override { return stages_.plan; }
  const FileAccess& files() const override { return stages_.files ? *stages_.files : deps().files; }
  StageSlot& slot(int stage) override { return *stages_.slots[stage]; }
  const storage::v1::RunRecord& record() const override { return record_; }
  std::shared_ptr<StopSignal> stop() override { return stop_; }
  std::shared_ptr<ModelLease> models() override { return models_; }
  StageTrace* trace(int stage) override { return trace_.stage(stage); }
  void Moved() override;
  void LookForParked() override { hooks_.look_for_parked(); }
  void NoteMemos(int64_t hits, int64_t misses, int64_t corrupt) override;
  void FailStage(int stage, const Status& error) override;
  void PauseForFile(int stage, const Status& error) override;
  void PauseForCheck(int stage, std::string message) override;
  CallHandler& calls() override { return calls_; }
  Task<Status> CheckFirstInput(int stage) override {
    return millrace::CheckFirstInput(*this, stages_.definition, stage, sources_seen_);
  }
  Task<Status> Warn(std::string message) override;
  using StepHost::EndStage;
  Task<Status> EndStage(int stage, RecordChange change, WriteBatch more) override;
  Task<StatusOr<Digest>> DigestInput(int stage) override;
  Task<bool> AwaitRoom() override;

 private:
  Task<void> Work(std::shared_ptr<ActiveRun> self);
  Task<void> RunSteps();
  Task<void> WorkOnStages();
  Task<void> RunStep(Step& step, int stage);
  Task<void> Conclude();
  void Stop();
  // Ends the episode; the run fails. `stage` is empty if the error has none.
  void Fail(const std::string& stage, const Status& error);
  // Ends the episode; the run is paused until a client resumes it. The first cause counts.
  void PauseFor(v1::WaitingOn::Reason reason, const std::string& object, std::string remedy,
                Reason error = Reason::kNone);
  void PauseForRepair(const std::vector<Blockage>& blockages);
  // Makes calls try the targets of the run's models at once.
  void ReconsiderTargets();
  void JudgeStages();
  bool AllDone();
  // Returns a number that grows with every commit of an item and every end of a stage.
  int64_t ProgressMade();
  Task<void> RecordProgress(std::shared_ptr<ActiveRun> self);

  // Commits the record as it is now, with the event if one is given.
  Task<Status> Record(std::optional<v1::RunEvent> event, WriteBatch more);
  Task<Status> Record(std::optional<v1::RunEvent> event) { return Record(std::move(event), WriteBatch()); }
  Task<Status> RecordState(v1::RunState state, WriteBatch more);
  Task<Status> RecordState(v1::RunState state) { return RecordState(state, WriteBatch()); }
  // Stores which of the counts of an ended run are those of calls that it has left.
  void PutLeftCalls(WriteBatch& batch) const;
  v1::RunEvent StateEvent();
  v1::Run Present();
  // The counts as they are stored: without the attempts that are stored elsewhere (server/storage/taken_over.h).
  v1::Run Counted();
  void PlanProgressEvent();
  // Checks every 2 s whether the run waits on something else than the newest event says. Nothing else would notice,
  // because no count changes while a run is held up.
  void LookForHoldUp();
  // Pauses the run if targets have kept it from any progress for `give_up_after`.
  void GiveUpIfTargetsFail();
  Task<void> WriteProgressEvent(std::shared_ptr<ActiveRun> self);
  Duration ActiveTime() const;
  std::optional<v1::WaitingOn> WaitsOn();
  int64_t WallMicros() const { return deps_.loop.clock().WallMicros(); }

  const EngineDeps& deps_;
  const EngineOptions& options_;
  Store& store_;
  storage::v1::RunRecord record_;  // without its definition
  v1::RunState recorded_state_;
  RunStages stages_;
  int64_t last_event_;
  RunHooks hooks_;

  RunCalls calls_;
  AsyncMutex turn_;  // held while the state changes or an event is written
  Event changed_;
  Event room_;
  std::shared_ptr<StopSignal> stop_;
  std::vector<std::unique_ptr<Step>> steps_;  // this episode's
  std::shared_ptr<ModelLease> models_;        // this episode's; null while no stage works
  SourcesSeen sources_seen_;                  // by CheckFirstInput
  RunTrace trace_;
  bool working_ = false;
  bool draining_ = false;
  bool is_loaded_ = false;
  int starts_ = 1;  // starts without progress since, this one among them
  int64_t progress_at_start_ = 0;
  int complete_ = 0;               // number of complete stages
  std::vector<PendingCall> left_;  // calls that the end of the episode has stopped
  TakenOver taken_over_;           // as last read
  std::optional<v1::RunError> error_;
  std::optional<v1::WaitingOn> pause_;  // the episode ends with a pause for this
  std::optional<TimePoint> working_since_;
  int64_t progress_micros_ = 0;
  std::string waiting_cause_;  // holds the run up since waiting_since_micros_; empty: none
  int64_t waiting_since_micros_ = 0;
  std::optional<TimePoint> failing_since_;  // a target holds the run up since then; seen by LookForHoldUp
  Loop::Timer progress_timer_;
  bool progress_timer_armed_ = false;
  TimePoint next_progress_{};
  Loop::Timer hold_up_timer_;
  std::string told_hold_up_;  // cause in the newest Progress event; empty: none
};

}  // namespace millrace
