// A stage at work during one episode of a run: from the run's start or resume until it ends, is paused, or the process
// dies. State that must outlive an episode is in the stage's rows.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/engine/engine_deps.h"
#include "server/engine/plan.h"
#include "server/engine/step/client_input.h"
#include "server/engine/step/rows.h"
#include "server/llm/call.h"
#include "server/stages/rules/condition.h"
#include "server/stages/stage_context.h"
#include "server/stages/stage_work.h"

namespace millrace {

// State of one stage of a run, for as long as the run is in memory.
struct StageSlot {
  int index = 0;
  const v1::Stage* definition = nullptr;  // part of the run's definition
  std::shared_ptr<const StageWork> work;
  std::unique_ptr<StageRows> rows;
  std::optional<rules::ConditionEvaluator> when;
  std::shared_ptr<const MemoRules> memo_rules;
  std::shared_ptr<ClientInput> input;  // null except for a fetch whose items the client sends
  bool look_up = true;                 // reuse results and answers of earlier runs
  bool needs_check = false;            // a fetch with `expect`: its rows are checked before other stages get them
};

// The run as its stages see it. Engine thread.
class StepHost {
 public:
  virtual ~StepHost() = default;

  virtual const EngineDeps& deps() const = 0;
  virtual const EngineOptions& options() const = 0;
  virtual Store& store() = 0;  // waits while the store is being reopened
  virtual const Plan& plan() const = 0;
  virtual StageSlot& slot(int stage) = 0;
  virtual const storage::v1::RunRecord& record() const = 0;
  virtual std::shared_ptr<StopSignal> stop() = 0;  // ends this episode
  bool stopped() { return stop()->stopped(); }

  // Returns true if the stage has ended and passed its checks, so that its items may be read as a whole.
  bool Complete(int stage) {
    StageSlot& at = slot(stage);
    return at.rows->complete(at.needs_check);
  }
  // Returns true if all stages that the stage needs have ended, so that nothing more comes in.
  bool InputClosed(int stage);
  // Returns the number of items that the stage takes in, as far as it is known.
  int64_t ItemsIn(int stage);

  // Tells the run that counts have changed or a stage has ended, which others may wait for.
  virtual void Moved() = 0;
  // Tells the run that an item was parked, or that the stage can take more of those that wake.
  virtual void LookForParked() = 0;
  // Adds to the counts of memo look-ups: found, not found, found damaged.
  virtual void NoteMemos(int64_t hits, int64_t misses, int64_t corrupt) = 0;
  // Ends the episode and fails the run because of an error of the stage as a whole. The first error counts.
  virtual void FailStage(int stage, const Status& error) = 0;
  // Ends the episode and pauses the run until a client resumes it, because a check failed.
  virtual void PauseForCheck(int stage, std::string message) = 0;
  // Records a warning in the run and as an event.
  virtual Task<Status> Warn(std::string message) = 0;

  // Returns the digest of the stage's whole input: of (id, digest of the item) in ordinal order. REQUIRES: the input is
  // complete.
  virtual Task<StatusOr<Digest>> DigestInput(int stage);

  // Ends the stage: commits its record after `change`, `more`, and the event in one batch.
  virtual Task<Status> EndStage(int stage, RecordChange change, WriteBatch more) = 0;
  Task<Status> EndStage(int stage, RecordChange change) { return EndStage(stage, std::move(change), WriteBatch()); }
  Task<Status> EndStage(int stage) {
    return EndStage(stage, [](storage::v1::StageRecord&) {});
  }

  // Waits while the disk is nearly full, because new work must not begin then. Returns false if the episode has ended.
  virtual Task<bool> AwaitRoom() = 0;
};

// One stage's work.
class Step {
 public:
  virtual ~Step() = default;
  // Resumes when the stage has ended or the episode is over and nothing of it is left in flight.
  virtual Task<void> Run() = 0;
  // Makes it look again, because the episode has ended, a stage is complete, or its input has grown.
  virtual void Wake() = 0;
  // Takes up a parked item, whose time has come.
  virtual void WakeParked(int64_t ordinal, int64_t wake_micros);
  // Returns true if it waits for a client's input.
  virtual bool waits_for_input() const { return false; }
  // Number of items, chunks or whole inputs that it works on now.
  virtual int64_t in_flight() const { return 0; }
};

// The step for the stage's shape.
std::unique_ptr<Step> MakeStep(StepHost& host, int stage);

std::unique_ptr<Step> MakeFetchStep(StepHost& host, int stage);
std::unique_ptr<Step> MakeItemStep(StepHost& host, int stage);
std::unique_ptr<Step> MakeBarrierStep(StepHost& host, int stage);
std::unique_ptr<Step> MakeSinkStep(StepHost& host, int stage);

// Returns a reader of the stage's own items in ordinal order. REQUIRES: the stage is complete.
std::unique_ptr<ItemReader> ReadStage(StepHost& host, int stage);

// Returns what a stage at work may use; the second for one that calls models.
StageContext MakeStageContext(StepHost& host, int stage);
CallingContext MakeCallingContext(StepHost& host, int stage);

// Waits until the stage's whole input is complete, then checks it (`expect`). Returns false if the episode has ended,
// or the check has ended it. `changed` is the step's own event, notified by its Wake.
Task<bool> AwaitWholeInput(StepHost& host, int stage, Event& changed);

}  // namespace millrace
