// A stage at work during one episode of a run: from the run's start or resume until it ends, is paused, or the process
// dies. State that must outlive an episode is in the stage's rows.
#pragma once

#include <memory>

#include "server/engine/step/step_host.h"
#include "server/llm/call.h"
#include "server/stages/item_reader.h"
#include "server/stages/stage_context.h"

namespace millrace {

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
