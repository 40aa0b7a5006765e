// A run in memory: its state, its stages, its events. It is there from its creation (or a restart) until it has come to
// rest; afterwards a run is only records in the store.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/loop.h"
#include "server/engine/async_mutex.h"
#include "server/engine/engine_deps.h"
#include "server/engine/run/plan.h"
#include "server/engine/step/step.h"

namespace millrace {

bool IsEnded(v1::RunState state);

// Look-ups of memos since the start.
struct MemoFigures {
  int64_t hits = 0;
  int64_t misses = 0;
  int64_t corrupt = 0;
};

// What a run tells its engine.
struct RunHooks {
  std::function<void(const std::string& run)> rested;  // it ended, and nothing of it is in flight
  std::function<void()> look_for_parked;               // an item was parked, or can be woken again
  MemoFigures* memos = nullptr;
};

// What a run is made of (run_loader.h).
struct RunStages {
  std::shared_ptr<const v1::Pipeline> definition;
  Plan plan;
  std::vector<std::unique_ptr<StageSlot>> slots;
};

// Engine thread. Its coroutines hold it.
class ActiveRun final : public StepHost, public std::enable_shared_from_this<ActiveRun> {
 public:
  // `record` without its definition, which `stages` has.
  ActiveRun(const EngineDeps& deps, const EngineOptions& options, Store& store, storage::v1::RunRecord record,
            RunStages stages, int64_t last_event, RunHooks hooks);

  // Begins an episode: goes on with all that is left to do. Of a run that was being redriven, or was cancelled and had
  // not come to rest, this ends that first.
  void Start();

  // The states that clients bring about; durable when they resume. OK where it already is so;
  // FAILED_PRECONDITION (WRONG_RUN_STATE).
  Task<Status> Pause();
  Task<Status> Resume();
  Task<Status> Cancel();
  // Of an ended run: takes back what the request names and goes on. How many items were taken back.
  Task<StatusOr<int64_t>> Redrive(v1::RedriveRunRequest request);
  // Somebody waits for it: starts it where it runs by its state, and EngineOptions left it at rest.
  void Follow();
  // Never starts in this process.
  void KeepAtRest() { draining_ = true; }
  // Starts nothing more in this process; the state stays. Resumes when nothing is in flight, or at `deadline`.
  Task<void> Drain(TimePoint deadline);

  // As clients may see it: in the state that is stored.
  v1::Run Snapshot();
  v1::RunState state() const { return record_.run().state(); }
  v1::RunState recorded_state() const { return recorded_state_; }
  const std::string& name() const { return record_.run().name(); }
  bool working() const { return working_; }
  int64_t last_event() const { return last_event_; }
  // Notified when the state has changed, an event was committed, or it has come to rest.
  Event& changed() { return changed_; }
  const v1::Pipeline& definition() const { return *stages_.definition; }

  // Its input has grown or was closed; the store has room again.
  void WakeSteps();
  void WakeParked(const std::string& stage, int64_t ordinal, int64_t wake_micros);

  const EngineDeps& deps() const override { return deps_; }
  const EngineOptions& options() const override { return options_; }
  Store& store() override { return store_; }
  const Plan& plan() const override { return stages_.plan; }
  StageSlot& slot(int stage) override { return *stages_.slots[stage]; }
  const storage::v1::RunRecord& record() const override { return record_; }
  std::shared_ptr<StopSignal> stop() override { return stop_; }
  void Moved() override;
  void LookForParked() override { hooks_.look_for_parked(); }
  void NoteMemos(int64_t hits, int64_t misses, int64_t corrupt) override;
  void Fail(v1::RunError error) override;
  void PauseForCheck(int stage, std::string message) override;
  Task<Status> Warn(std::string message) override;
  Task<Status> EndStage(int stage, RecordChange change, WriteBatch more) override;
  Task<bool> AwaitRoom() override;

 private:
  Task<void> Work(std::shared_ptr<ActiveRun> self);
  Task<void> RunSteps();
  Task<void> Conclude();
  void Stop();
  void JudgeStages();
  bool AllDone();

  // Commits the record as it is now, with an event where there is one.
  Task<Status> Record(std::optional<v1::RunEvent> event, WriteBatch more);
  Task<Status> RecordState(v1::RunState state, WriteBatch more);
  v1::RunEvent StateEvent();
  v1::Run Present();
  void PlanProgressEvent();
  // Looks now and then whether the run waits on something else than was told: what holds it up moves nothing.
  void LookForHoldUp();
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

  AsyncMutex turn_;  // of changes of the state and of events
  Event changed_;
  Event room_;
  std::shared_ptr<StopSignal> stop_;
  std::vector<std::unique_ptr<Step>> steps_;  // of this episode
  bool working_ = false;
  bool draining_ = false;
  int complete_ = 0;  // stages
  std::optional<v1::RunError> error_;
  struct Check {
    int stage = 0;
    std::string message;
  };
  std::optional<Check> check_;
  std::optional<TimePoint> working_since_;
  int64_t progress_micros_ = 0;
  int64_t waiting_since_micros_ = 0;
  Loop::Timer progress_timer_;
  bool progress_timer_armed_ = false;
  TimePoint next_progress_{};
  Loop::Timer hold_up_timer_;
  std::string told_hold_up_;  // by the newest Progress event
};

}  // namespace millrace
