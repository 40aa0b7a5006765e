// A stage at work during one episode of a run: from its start or resume until it ends, is paused, or the process dies.
// What must outlive an episode is in the stage's rows.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/engine/engine_deps.h"
#include "server/engine/run/plan.h"
#include "server/engine/step/rows.h"
#include "server/llm/call.h"
#include "server/stages/rules/condition.h"
#include "server/stages/stage.h"

namespace millrace {

class ClientInput;

// One stage of a run, for as long as the run is in memory.
struct StageSlot {
  int index = 0;
  const v1::Stage* definition = nullptr;  // of the run's
  std::shared_ptr<const StageWork> work;
  std::unique_ptr<StageRows> rows;
  std::optional<ConditionEvaluator> when;
  std::shared_ptr<const MemoRules> memo_rules;
  std::shared_ptr<ClientInput> input;  // of a fetch whose items the client sends
  bool look_up = true;                 // remembered results and answers of earlier runs are used
  bool needs_check = false;            // a fetch whose rows are checked before anybody gets them
};

// What a step asks of the run that it belongs to. Engine thread.
class StepHost {
 public:
  virtual ~StepHost() = default;

  virtual const EngineDeps& deps() const = 0;
  virtual const EngineOptions& options() const = 0;
  virtual Store& store() = 0;  // a patient one
  virtual const Plan& plan() const = 0;
  virtual StageSlot& slot(int stage) = 0;
  virtual const storage::v1::RunRecord& record() const = 0;
  virtual std::shared_ptr<StopSignal> stop() = 0;  // of this episode
  bool stopped() { return stop()->stopped(); }

  // The stage's items may be read as a whole.
  bool Complete(int stage) {
    StageSlot& at = slot(stage);
    return at.rows->complete(at.needs_check);
  }
  // All that the stage needs is complete: its input is closed.
  bool InputClosed(int stage);
  // Items that the stage takes in, as far as they are known.
  int64_t ItemsIn(int stage);

  // Something that others may wait for has changed: counts, ends of stages.
  virtual void Moved() = 0;
  // An item was parked, or there is room again for some that wake.
  virtual void LookForParked() = 0;
  // Look-ups of memos that found something, found nothing, found something damaged.
  virtual void NoteMemos(int64_t hits, int64_t misses, int64_t corrupt) = 0;
  // Ends the episode; the run fails. The first error counts.
  virtual void Fail(v1::RunError error) = 0;
  // Ends the episode; the run pauses until it is resumed, because of a check.
  virtual void PauseForCheck(int stage, std::string message) = 0;
  virtual Task<Status> Warn(std::string message) = 0;

  // The stage has ended: commits its record after `change`, `more`, and the event in one batch.
  virtual Task<Status> EndStage(int stage, RecordChange change, WriteBatch more) = 0;

  // Waits while new work must not begin: the disk is nearly full. False: the episode has ended.
  virtual Task<bool> AwaitRoom() = 0;
};

// One stage's work.
class Step {
 public:
  virtual ~Step() = default;
  // Resumes when the stage has ended or the episode is over and nothing of it is left in flight.
  virtual Task<void> Run() = 0;
  // Something has changed: the episode has ended, a stage is complete, an item woke.
  virtual void Wake() = 0;
  // A parked item's time has come.
  virtual void WakeParked(int64_t ordinal, int64_t wake_micros);
  // What it does now waits for a client's input.
  virtual bool waits_for_input() const { return false; }
  virtual int64_t in_flight() const { return 0; }
};

std::unique_ptr<Step> MakeFetchStep(StepHost& host, int stage);
std::unique_ptr<Step> MakeItemStep(StepHost& host, int stage);
std::unique_ptr<Step> MakeBarrierStep(StepHost& host, int stage);
std::unique_ptr<Step> MakeSinkStep(StepHost& host, int stage);

// What a step's stage gets to work with.
StageContext MakeStageContext(StepHost& host, int stage);

// Waits until all that the stage needs is complete, then checks what it expects of it. False: the episode has ended, or
// the check has ended it. `changed` is the step's own event, notified by its Wake.
Task<bool> AwaitWholeInput(StepHost& host, int stage, Event& changed);

// Fails the run because of an error of a stage as a whole.
void FailStage(StepHost& host, int stage, const Status& status);

}  // namespace millrace
