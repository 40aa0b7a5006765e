#include "server/engine/run/run.h"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "server/engine/run/measures.h"
#include "server/engine/run/redrive.h"
#include "server/engine/step/feed.h"
#include "server/engine/step/model_use.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

Status WrongState(const storage::v1::RunRecord& record) {
  std::string state = v1::RunState_Name(record.run().state());
  state.erase(0, std::string("RUN_STATE_").size());
  std::transform(state.begin(), state.end(), state.begin(), [](unsigned char c) { return std::tolower(c); });
  return MakeError(Reason::kWrongRunState, fmt::format("run `{}` is {}", record.run().name(), state));
}

}  // namespace

bool IsEnded(v1::RunState state) {
  return state == v1::RUN_STATE_SUCCEEDED || state == v1::RUN_STATE_FAILED || state == v1::RUN_STATE_CANCELLED;
}

ActiveRun::ActiveRun(const EngineDeps& deps, const EngineOptions& options, Store& store, storage::v1::RunRecord record,
                     RunStages stages, int64_t last_event, RunHooks hooks)
    : deps_(deps),
      options_(options),
      store_(store),
      record_(std::move(record)),
      recorded_state_(record_.run().state()),
      stages_(std::move(stages)),
      last_event_(last_event),
      hooks_(std::move(hooks)),
      calls_(deps.calls, [this](const std::vector<Blockage>& blockages) { PauseForRepair(blockages); }),
      turn_(deps.loop),
      changed_(deps.loop),
      room_(deps.loop),
      stop_(std::make_shared<StopSignal>(deps.loop)),
      trace_(deps.tracer),
      progress_micros_(ToMicros(record_.run().last_progress_time())) {}

void ActiveRun::Start() {
  if (working_ || draining_) return;
  working_ = true;
  working_since_ = deps_.loop.Now();
  stop_ = std::make_shared<StopSignal>(deps_.loop);
  error_.reset();
  pause_.reset();
  failing_since_.reset();
  left_.clear();
  progress_at_start_ = ProgressMade();
  trace_.BeginEpisode(record_);
  deps_.loop.Spawn(Work(shared_from_this()));
}

void ActiveRun::ShowLeft(std::vector<PendingCall> pending) {
  left_ = std::move(pending);
  for (PendingCall& call : left_) call.maybe_billed += std::exchange(call.started, 0);
}

Task<void> ActiveRun::ReadTakenOver() {
  const std::shared_ptr<ActiveRun> self = shared_from_this();
  StatusOr<TakenOver> read = co_await LoadTakenOver(deps_.store, name());
  if (read.ok()) taken_over_ = *std::move(read);
}

void ActiveRun::Follow() {
  if (recorded_state_ == v1::RUN_STATE_RUNNING) Start();
}

// `self` keeps the run alive.
Task<void> ActiveRun::Work([[maybe_unused]] std::shared_ptr<ActiveRun> self) {
  if (record_.has_redrive() && !IsEnded(state())) {
    Status status = co_await TakeBack(*this, record_.redrive());
    if (status.ok()) {
      const AsyncMutex::Holder holder = co_await turn_.Enter();
      record_.clear_redrive();
      status = co_await Record(std::nullopt);
    }
    if (!status.ok()) Fail("", status);
  }
  if (!IsEnded(state()) && !stopped()) co_await RunSteps();
  co_await Conclude();
  trace_.EndEpisode(record_.run());
  working_ = false;
  changed_.NotifyAll();
  if (IsEnded(state())) hooks_.rested(name());
}

Task<void> ActiveRun::RunSteps() {
  std::vector<std::string> names = ModelsOf(deps_, definition());
  models_ = co_await deps_.models.Lease(std::move(names));
  if (const Status status = SetMemoRules(*this, definition(), *models_); !status.ok()) Fail("", status);
  if (!stopped()) co_await WorkOnStages();
  models_.reset();
}

Task<void> ActiveRun::WorkOnStages() {
  trace_.BeginStages(plan());
  // All are made before any starts, so that each gets all items that are delivered.
  for (const int stage : plan().order()) steps_.push_back(MakeStep(*this, stage));
  complete_ = 0;
  JudgeStages();
  hooks_.look_for_parked();
  LookForHoldUp();
  TaskGroup group(deps_.loop);
  for (size_t i = 0; i < steps_.size(); ++i) group.Spawn(RunStep(*steps_[i], plan().order()[i]));
  co_await group.Join();
  for (const std::unique_ptr<StageSlot>& slot : stages_.slots) slot->rows->DetachAll();
  steps_.clear();
}

Task<void> ActiveRun::RunStep(Step& step, int stage) {
  co_await step.Run();
  trace_.EndStage(stage, slot(stage).rows->progress(), slot(stage).rows->done());
}

bool ActiveRun::AllDone() {
  for (int stage = 0; stage < plan().size(); ++stage) {
    if (!Complete(stage)) return false;
  }
  return true;
}

// Ends the episode: records the state that it led to.
Task<void> ActiveRun::Conclude() {
  progress_timer_.Cancel();
  hold_up_timer_.Cancel();
  progress_timer_armed_ = false;
  TakenMeasures measures;
  const bool all_done = AllDone();
  if (all_done && !error_ && !stopped()) {
    auto taken = co_await TakeMeasures(*this, definition());
    if (taken.ok()) measures = *std::move(taken);
    for (std::string& warning : measures.warnings) {
      const Status warned = co_await Warn(std::move(warning));
      if (!warned.ok()) break;  // the store is closing: the episode is taken up again after a restart
    }
  }
  const bool has_stopped_calls = stopped() || state() == v1::RUN_STATE_CANCELLED;
  if (has_stopped_calls && !draining_) {
    // Calls that were stopped have no settlement: their attempts are in the store only.
    std::optional<std::string> run = name();
    StatusOr<PendingByRun> pending = co_await CountPending(store_, std::move(run));
    if (pending.ok()) left_ = std::move((*pending)[name()]);
  }
  co_await ReadTakenOver();
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  *record_.mutable_run()->mutable_active_time() = FromDuration(ActiveTime());
  working_since_.reset();
  WriteBatch batch;
  Status status;
  if (IsEnded(state()) || error_) PutLeftCalls(batch);
  if (state() == v1::RUN_STATE_CANCELLED) {
    // Counts have changed since the cancellation: calls that were in flight have ended.
    batch.Delete(ActiveRunKey(name()));
    status = co_await Record(std::nullopt, std::move(batch));
  } else if (error_) {
    *record_.mutable_run()->mutable_error() = *error_;
    batch.Delete(ActiveRunKey(name()));
    status = co_await RecordState(v1::RUN_STATE_FAILED, std::move(batch));
  } else if (pause_) {
    *record_.mutable_run()->mutable_waiting_on() = *pause_;
    status = co_await RecordState(v1::RUN_STATE_PAUSED, std::move(batch));
  } else if (state() == v1::RUN_STATE_RUNNING && all_done && !draining_) {
    for (v1::MeasureValue& measure : measures.values) *record_.mutable_run()->add_measures() = std::move(measure);
    batch.Delete(ActiveRunKey(name()));
    status = co_await RecordState(v1::RUN_STATE_SUCCEEDED, std::move(batch));
  }
}

void ActiveRun::PutLeftCalls(WriteBatch& batch) const {
  for (const PendingCall& call : left_) PutLeft(batch, name(), call);
}

Task<Status> ActiveRun::Record(std::optional<v1::RunEvent> event, WriteBatch more) {
  if (event) {
    event->set_number(last_event_ + 1);
    *event->mutable_time() = ToTimestamp(WallMicros());
    PutRecord(more, EventKey(name(), event->number()), *event);
  }
  storage::v1::RunRecord record = record_;
  *record.mutable_run() = Counted();
  record.mutable_run()->set_last_event(last_event_ + (event ? 1 : 0));
  definition().SerializeToString(record.mutable_definition());
  PutRecord(more, RunKey(name()), record);
  MR_CO_RETURN_IF_ERROR(co_await store_.Commit(std::move(more)));
  if (event) ++last_event_;
  recorded_state_ = record.run().state();
  changed_.NotifyAll();
  co_return absl::OkStatus();
}

Task<Status> ActiveRun::RecordState(v1::RunState state, WriteBatch more) {
  v1::Run& run = *record_.mutable_run();
  run.set_state(state);
  if (IsEnded(state)) *run.mutable_end_time() = ToTimestamp(WallMicros());
  if (state == v1::RUN_STATE_RUNNING) run.clear_waiting_on();
  co_return co_await Record(StateEvent(), std::move(more));
}

v1::RunEvent ActiveRun::StateEvent() {
  v1::RunEvent event;
  event.mutable_state_changed()->set_state(state());
  *event.mutable_state_changed()->mutable_run() = Present();
  event.mutable_state_changed()->mutable_run()->set_last_event(last_event_ + 1);
  return event;
}

void ActiveRun::Stop() {
  stop_->Stop();
  room_.NotifyAll();
  WakeSteps();
}

Task<Status> ActiveRun::Pause() {
  const std::shared_ptr<ActiveRun> self = shared_from_this();
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  if (IsEnded(state())) co_return WrongState(record_);
  if (state() == v1::RUN_STATE_PAUSED) co_return absl::OkStatus();
  Stop();
  v1::WaitingOn& waiting = *record_.mutable_run()->mutable_waiting_on();
  waiting.set_reason(v1::WaitingOn::REASON_USER);
  *waiting.mutable_since() = ToTimestamp(WallMicros());
  waiting.set_remedy("resume the run");
  co_return co_await RecordState(v1::RUN_STATE_PAUSED);
}

Task<Status> ActiveRun::Resume() {
  const std::shared_ptr<ActiveRun> self = shared_from_this();
  // Waits for work that was in flight at the pause, so that no item is computed twice.
  while (state() == v1::RUN_STATE_PAUSED && working_) co_await changed_.Wait();
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  if (IsEnded(state())) co_return WrongState(record_);
  if (state() != v1::RUN_STATE_PAUSED || working_) {
    Follow();
    co_return absl::OkStatus();
  }
  const v1::WaitingOn waited = record_.run().waiting_on();
  if (waited.reason() == v1::WaitingOn::REASON_EXPECT) {
    const int stage = plan().Find(waited.object());
    RecordChange change = [](storage::v1::StageRecord& record) { record.set_expect_checked(true); };
    if (stage >= 0) MR_CO_RETURN_IF_ERROR(co_await slot(stage).rows->Update(std::move(change)));
  }
  const bool waits_for_targets =
      waited.reason() == v1::WaitingOn::REASON_REPAIR || waited.reason() == v1::WaitingOn::REASON_TARGET;
  if (waits_for_targets) ReconsiderTargets();
  WriteBatch batch;
  PutActiveRun(batch, name(), starts_ = 1);
  MR_CO_RETURN_IF_ERROR(co_await RecordState(v1::RUN_STATE_RUNNING, std::move(batch)));
  Start();
  co_return absl::OkStatus();
}

Task<Status> ActiveRun::Cancel() {
  const std::shared_ptr<ActiveRun> self = shared_from_this();
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  if (state() == v1::RUN_STATE_CANCELLED) co_return absl::OkStatus();
  if (IsEnded(state())) co_return WrongState(record_);
  Stop();
  record_.mutable_run()->clear_waiting_on();
  WriteBatch batch;
  if (!working_) {
    batch.Delete(ActiveRunKey(name()));
    PutLeftCalls(batch);
  }
  MR_CO_RETURN_IF_ERROR(co_await RecordState(v1::RUN_STATE_CANCELLED, std::move(batch)));
  if (!working_) hooks_.rested(name());
  co_return absl::OkStatus();
}

Task<StatusOr<int64_t>> ActiveRun::Redrive(v1::RedriveRunRequest request) {
  const std::shared_ptr<ActiveRun> self = shared_from_this();
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  if (!IsEnded(state()) || working_) co_return WrongState(record_);
  MR_CO_ASSIGN_OR_RETURN(const int64_t items, co_await CountRedriven(*this, request));
  if (items == 0 && AllDone() && state() == v1::RUN_STATE_SUCCEEDED) co_return 0;
  WriteBatch batch;
  if (items > 0) {
    OpenStages(*this, request, batch);
    *record_.mutable_redrive() = std::move(request);
  }
  record_.set_redrives(record_.redrives() + 1);
  record_.mutable_run()->clear_error();
  record_.mutable_run()->clear_end_time();
  record_.mutable_run()->clear_measures();
  ForgetLeft(batch, name());
  PutActiveRun(batch, name(), starts_ = 1);
  MR_CO_RETURN_IF_ERROR(co_await RecordState(v1::RUN_STATE_RUNNING, std::move(batch)));
  Start();
  co_return items;
}

Task<void> ActiveRun::Drain(TimePoint deadline) {
  const std::shared_ptr<ActiveRun> self = shared_from_this();
  draining_ = true;
  Stop();
  while (working_) {
    if (const bool in_time = co_await changed_.WaitUntil(deadline); !in_time) co_return;
  }
}

void ActiveRun::WakeSteps() {
  for (const std::unique_ptr<Step>& step : steps_) step->Wake();
  if (store_.state() == StoreState::kOk) room_.NotifyAll();
}

void ActiveRun::WakeParked(const std::string& stage, int64_t ordinal, int64_t wake_micros) {
  const int index = plan().Find(stage);
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (plan().order()[i] == index) steps_[i]->WakeParked(ordinal, wake_micros);
  }
}

int64_t ActiveRun::ProgressMade() {
  int64_t made = 0;
  for (int stage = 0; stage < plan().size(); ++stage) {
    made += slot(stage).rows->record().commits() + (slot(stage).rows->done() ? 1 : 0);
  }
  return made;
}

// Records that the run has made progress since its start, so that it is not what kills the server.
Task<void> ActiveRun::RecordProgress([[maybe_unused]] std::shared_ptr<ActiveRun> self) {
  if (IsEnded(state())) co_return;
  WriteBatch batch;
  PutActiveRun(batch, name(), 1);
  // If this is lost the run may be paused without need.
  const Status ignored = co_await store_.Commit(std::move(batch), CommitMode::kReadable);
}

void ActiveRun::Moved() {
  if (starts_ > 1 && ProgressMade() > progress_at_start_) {
    starts_ = 1;
    deps_.loop.Spawn(RecordProgress(shared_from_this()));
  }
  progress_micros_ = WallMicros();
  failing_since_.reset();
  JudgeStages();
  PlanProgressEvent();
}

// If a stage has become complete, wakes the stages that wait for it. If all its items failed, the run fails.
void ActiveRun::JudgeStages() {
  int complete = 0;
  for (int stage = 0; stage < plan().size(); ++stage) complete += Complete(stage) ? 1 : 0;
  if (complete == complete_) return;
  complete_ = complete;
  for (int stage = 0; stage < plan().size(); ++stage) {
    const v1::StageProgress& progress = slot(stage).rows->progress();
    if (!slot(stage).rows->done() || progress.failed() == 0 || progress.ok() + progress.degraded() > 0) continue;
    FailStage(stage, MakeError(Reason::kNothingLeft, fmt::format("all {} items failed", progress.failed())));
  }
  WakeSteps();
}

void ActiveRun::NoteMemos(int64_t hits, int64_t misses, int64_t corrupt) {
  hooks_.memos->hits += hits;
  hooks_.memos->misses += misses;
  hooks_.memos->corrupt += corrupt;
}

Task<Status> ActiveRun::Warn(std::string message) {
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  const auto& warnings = record_.run().warnings();
  if (std::find(warnings.begin(), warnings.end(), message) != warnings.end()) co_return absl::OkStatus();
  v1::RunEvent event;
  event.mutable_warning()->set_message(message);
  record_.mutable_run()->add_warnings(std::move(message));
  co_return co_await Record(std::move(event));
}

Task<Status> ActiveRun::EndStage(int stage, RecordChange change, WriteBatch more) {
  // Before the stage's end is recorded: a crash in between repeats a warning, and an equal one is recorded once.
  storage::v1::StageRecord ended = slot(stage).rows->record();
  change(ended);
  for (const storage::v1::Oddity& oddity : ended.oddities()) {
    std::string warning = WarningOf(plan().stage(stage).name, oddity);
    MR_CO_RETURN_IF_ERROR(co_await Warn(std::move(warning)));
  }
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  v1::StageProgress progress = Snapshot().stages(stage);
  v1::RunEvent event;
  event.set_number(last_event_ + 1);
  *event.mutable_time() = ToTimestamp(WallMicros());
  *event.mutable_stage_done()->mutable_stage() = std::move(progress);
  storage::v1::StageRecord after = slot(stage).rows->record();
  change(after);
  v1::StageProgress& told = *event.mutable_stage_done()->mutable_stage();
  told.set_ok(after.progress().ok());
  told.set_skipped(after.progress().skipped());
  told.set_done(true);
  PutRecord(more, EventKey(name(), event.number()), event);
  MR_CO_RETURN_IF_ERROR(co_await slot(stage).rows->End(std::move(change), std::move(more)));
  ++last_event_;
  changed_.NotifyAll();
  co_return absl::OkStatus();
}

Task<StatusOr<Digest>> ActiveRun::DigestInput(int stage) { return DigestOfInput(*this, stage); }

Task<bool> ActiveRun::AwaitRoom() {
  while (store_.state() != StoreState::kOk && !stopped()) co_await room_.Wait();
  co_return !stopped();
}

}  // namespace millrace
