// The run as its stages see it, and the state of each stage for as long as the run is in memory.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "server/engine/engine_deps.h"
#include "server/engine/plan.h"
#include "server/engine/step/client_input.h"
#include "server/engine/step/rows.h"
#include "server/engine/step/stage_trace.h"
#include "server/llm/model_lease.h"
#include "server/stages/rules/condition.h"
#include "server/stages/stage_work.h"

namespace millrace {

// State of one stage of a run, for as long as the run is in memory.
struct StageSlot {
  int index = 0;
  const v1::Stage* definition = nullptr;  // part of the run's definition
  std::shared_ptr<const StageWork> work;
  std::unique_ptr<StageRows> rows;
  std::optional<rules::ConditionEvaluator> when;
  std::shared_ptr<const MemoRules> memo_rules;  // of this episode (SetMemoRules); null for fetches and sinks
  std::shared_ptr<ClientInput> input;           // null except for a fetch whose items the client sends
  bool look_up = true;                          // reuse results and answers of earlier runs
  bool needs_check = false;  // a fetch with `expect`: its rows are checked before other stages get them
};

// The run as its stages see it. Engine thread.
class StepHost {
 public:
  virtual ~StepHost() = default;

  virtual const EngineDeps& deps() const = 0;
  virtual const EngineOptions& options() const = 0;
  virtual Store& store() = 0;  // waits while the store is being reopened
  // Returns the files that the run may touch.
  virtual const FileAccess& files() const { return deps().files; }
  virtual const Plan& plan() const = 0;
  virtual StageSlot& slot(int stage) = 0;
  virtual const storage::v1::RunRecord& record() const = 0;
  virtual std::shared_ptr<StopSignal> stop() = 0;  // ends this episode
  bool stopped() { return stop()->stopped(); }
  // Returns the models that this episode uses.
  virtual std::shared_ptr<ModelLease> models() = 0;

  // Returns true if the stage has ended and passed its checks, so that its items may be read as a whole.
  bool Complete(int stage) {
    StageSlot& at = slot(stage);
    return at.rows->complete(at.needs_check);
  }
  // Returns true if all stages that the stage needs have ended, so that nothing more comes in.
  bool InputClosed(int stage);
  // Returns the number of items that the stage takes in, as far as it is known.
  int64_t ItemsIn(int stage);

  // Returns the traces of a stage; null: it is not traced.
  virtual StageTrace* trace(int /*stage*/) { return nullptr; }

  // Tells the run that counts have changed or a stage has ended, which others may wait for.
  virtual void Moved() = 0;
  // Makes the run look for parked items that are due, because an item was parked, or because the stage had no room for
  // all items that woke and has some now.
  virtual void LookForParked() = 0;
  // Adds to the counts of memo look-ups: found, not found, found damaged.
  virtual void NoteMemos(int64_t hits, int64_t misses, int64_t corrupt) = 0;
  // Ends the episode and fails the run because of an error of the stage as a whole. The first error counts.
  virtual void FailStage(int stage, const Status& error) = 0;
  // Ends the episode and pauses the run until a client resumes it, if the run has worked in an earlier process or
  // episode: the file of its fetch, which can't be opened, was there before. Does nothing to a new run, which fails by
  // FailStage.
  virtual void PauseForFile(int /*stage*/, const Status& /*error*/) {}
  // Ends the episode and pauses the run until a client resumes it, because a check failed.
  virtual void PauseForCheck(int stage, std::string message) = 0;
  // Returns the call layer for the stages. A call that stops because a human must repair its targets pauses the run.
  virtual CallHandler& calls() { return deps().calls; }
  // Checks that the first items that a client has sent to a fetch have the fields that the stages read.
  // INVALID_ARGUMENT (INVALID_DEFINITION).
  virtual Task<Status> CheckFirstInput(int /*stage*/) { co_return absl::OkStatus(); }
  // Records a warning in the run and as an event, unless the run has the same one.
  virtual Task<Status> Warn(std::string message) = 0;

  // Returns the digest of the stage's whole input: of (id, digest of the item) in ordinal order. REQUIRES: the input is
  // complete.
  virtual Task<StatusOr<Digest>> DigestInput(int stage) = 0;

  // Ends the stage: commits its record after `change`, `more`, and the event in one batch.
  virtual Task<Status> EndStage(int stage, RecordChange change, WriteBatch more) = 0;
  Task<Status> EndStage(int stage, RecordChange change) { return EndStage(stage, std::move(change), WriteBatch()); }
  Task<Status> EndStage(int stage) {
    return EndStage(stage, [](storage::v1::StageRecord&) {});
  }

  // Waits while the disk is nearly full, because new work must not begin then. Returns false if the episode has ended.
  virtual Task<bool> AwaitRoom() = 0;
};

}  // namespace millrace
