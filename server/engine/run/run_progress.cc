// Progress of a run for clients: snapshots with counts, the cause that holds it up, and Progress events, at most one an
// interval.

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "server/engine/run/run.h"
#include "server/engine/stage_counts.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr Duration kHoldUpLook = std::chrono::seconds(2);
// A call that has waited less is not worth a word.
constexpr Duration kWaitMin = std::chrono::seconds(2);

std::string HoldUpOf(const std::optional<v1::WaitingOn>& waiting) {
  if (!waiting) return "";
  return fmt::format("{} {} {}", static_cast<int>(waiting->reason()), waiting->object(), waiting->limit());
}

// Describes the limit that a call waits for. `wall_micros` is the wall clock's time at `now`.
void SetLimit(const CallTraffic::WaitingCall& call, TimePoint now, int64_t wall_micros, v1::WaitingOn& waiting) {
  waiting.set_limit(call.limit);
  waiting.set_place(call.place);
  waiting.set_queue_length(call.waiting);
  if (call.until == kNever) return;
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(call.until - now).count();
  *waiting.mutable_until() = ToTimestamp(wall_micros + micros);
}

}  // namespace

Duration ActiveRun::ActiveTime() const {
  Duration time = ToDuration(record_.run().active_time());
  if (working_since_) time += deps_.loop.Now() - *working_since_;
  return time;
}

v1::Run ActiveRun::Snapshot() {
  v1::Run run = Present();
  if (run.state() == recorded_state_) return run;
  // A change is shown once it is stored, because until then a crash would undo it.
  run.set_state(recorded_state_);
  run.clear_waiting_on();
  if (recorded_state_ == v1::RUN_STATE_RUNNING) {
    if (std::optional<v1::WaitingOn> waiting = WaitsOn()) *run.mutable_waiting_on() = *std::move(waiting);
  }
  if (!IsEnded(recorded_state_)) {
    run.clear_end_time();
    run.clear_error();
    run.clear_measures();
  }
  return run;
}

v1::Run ActiveRun::Present() {
  v1::Run run = Counted();
  AttemptsByStage twice;
  for (const PendingCall& call : left_) {
    if (!taken_over_.ids.contains(call.attempt_id)) continue;
    twice[call.stage].Add({.attempts = -call.attempts, .maybe_billed = -call.maybe_billed});
  }
  for (v1::StageProgress& progress : *run.mutable_stages()) {
    AddTakenOver(taken_over_.totals, progress);
    AddAttempts(twice, progress);
  }
  return run;
}

v1::Run ActiveRun::Counted() {
  v1::Run run = record_.run();
  run.clear_stages();
  AttemptsByStage begun;
  for (const PendingCall& call : left_) {
    begun[call.stage].Add({.attempts = call.attempts, .maybe_billed = call.maybe_billed});
  }
  if (working_) {
    for (const auto& [stage, counts] : deps_.traffic.FindAttempts(name())) begun[stage].Add(counts);
  }
  for (int stage = 0; stage < plan().size(); ++stage) {
    v1::StageProgress& progress = *run.add_stages();
    progress = ProgressOf(
        plan(), stage, [this](int at) -> auto& { return slot(at).rows->record(); });
    AddAttempts(begun, progress);
  }
  if (progress_micros_ > 0) *run.mutable_last_progress_time() = ToTimestamp(progress_micros_);
  *run.mutable_active_time() = FromDuration(ActiveTime());
  run.set_last_event(last_event_);
  if (state() == v1::RUN_STATE_RUNNING) {
    run.clear_waiting_on();
    if (std::optional<v1::WaitingOn> waiting = WaitsOn()) *run.mutable_waiting_on() = *std::move(waiting);
  }
  return run;
}

// Returns the first cause that holds up the whole run, if it is running.
std::optional<v1::WaitingOn> ActiveRun::WaitsOn() {
  v1::WaitingOn waiting;
  const auto since = [&](v1::WaitingOn::Reason reason) {
    waiting.set_reason(reason);
    std::string cause = fmt::format("{} {}", static_cast<int>(reason), waiting.object());
    if (std::exchange(waiting_cause_, cause) != cause) waiting_since_micros_ = WallMicros();
    *waiting.mutable_since() = ToTimestamp(waiting_since_micros_);
    return waiting;
  };
  // A run whose resume is being recorded is not at rest.
  if (!working_ && !options_.starts_runs && recorded_state_ == v1::RUN_STATE_RUNNING) {
    waiting.set_remedy("nothing works on it; it continues when it is watched or resumed");
    return since(v1::WaitingOn::REASON_USER);
  }
  if (store_.state() != StoreState::kOk) {
    waiting.set_remedy(
        store_.state() == StoreState::kReopening
            ? "a write failed: the store is being reopened and the run then continues; see the server's log"
            : "free space on the disk of the data directory");
    return since(v1::WaitingOn::REASON_DISK);
  }
  const CallTraffic::WaitingCall call = deps_.traffic.FindWaiting(name());
  const TimePoint now = deps_.loop.Now();
  const CallTraffic::FailingTarget failing = deps_.traffic.FindFailing(name());
  if (!failing.name.empty()) {
    waiting.set_object(failing.name);
    const bool is_limited = call.target == failing.name;
    if (is_limited) SetLimit(call, now, WallMicros(), waiting);
    waiting.set_remedy(failing.progress.empty()
                           ? fmt::format("it is being retried{}; its error: {}",
                                         is_limited ? fmt::format(" ({})", call.text) : "", Excerpt(failing.error, 300))
                           : fmt::format("its model is being pulled: {}", Excerpt(failing.progress, 300)));
    return since(v1::WaitingOn::REASON_TARGET);
  }
  if (!call.target.empty() && now - call.since >= kWaitMin) {
    const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(now - call.since).count();
    waiting_cause_.clear();
    waiting.set_reason(v1::WaitingOn::REASON_LIMIT);
    waiting.set_object(call.target);
    *waiting.mutable_since() = ToTimestamp(WallMicros() - waited);
    SetLimit(call, now, WallMicros(), waiting);
    waiting.set_remedy(fmt::format("{}; place {} of {} in the queue", call.text, call.place, call.waiting));
    return waiting;
  }
  int64_t in_flight = 0;
  int64_t parked = 0;
  std::string input;
  std::string parking;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const int stage = plan().order()[i];
    in_flight += steps_[i]->in_flight();
    if (steps_[i]->waits_for_input() && input.empty()) input = plan().stage(stage).name;
    const int64_t here = slot(stage).rows->progress().parked();
    if (here > 0 && parking.empty()) parking = plan().stage(stage).name;
    parked += here;
  }
  if (in_flight == 0 && parked > 0) {
    waiting.set_object(parking);
    waiting.set_count(parked);
    waiting.set_remedy("the items continue by themselves at their time");
    return since(v1::WaitingOn::REASON_TIME);
  }
  if (in_flight == 0 && !input.empty()) {
    waiting.set_object(input);
    waiting.set_remedy("add items, or close the input");
    return since(v1::WaitingOn::REASON_INPUT);
  }
  waiting_cause_.clear();
  return std::nullopt;
}

void ActiveRun::GiveUpIfTargetsFail() {
  if (!record_.run().has_give_up_after() || state() != v1::RUN_STATE_RUNNING || stopped()) return;
  const std::optional<v1::WaitingOn> waiting = WaitsOn();
  const CallTraffic::FailingTarget target = deps_.traffic.FindFailing(name());
  // A pull that runs is progress, although no item ends.
  if (!waiting || waiting->reason() != v1::WaitingOn::REASON_TARGET || !target.progress.empty()) {
    failing_since_.reset();
    return;
  }
  if (!failing_since_) failing_since_ = deps_.loop.Now();
  const Duration failing = deps_.loop.Now() - *failing_since_;
  if (failing < ToDuration(record_.run().give_up_after())) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(failing).count();
  PauseFor(v1::WaitingOn::REASON_TARGET, waiting->object(),
           fmt::format("{} has failed for {} s without progress of the run: {}; resume the run to try again",
                       waiting->object(), seconds, Excerpt(target.error, 300)),
           Reason::kTargetFailed);
}

void ActiveRun::PlanProgressEvent() {
  if (progress_timer_armed_ || !working_) return;
  progress_timer_armed_ = true;
  const std::weak_ptr<ActiveRun> weak = weak_from_this();
  progress_timer_ = deps_.loop.CallAt(std::max(next_progress_, deps_.loop.Now()), [weak] {
    const std::shared_ptr<ActiveRun> self = weak.lock();
    if (self) self->deps_.loop.Spawn(self->WriteProgressEvent(self));
  });
}

void ActiveRun::LookForHoldUp() {
  const std::weak_ptr<ActiveRun> weak = weak_from_this();
  hold_up_timer_ = deps_.loop.CallAt(deps_.loop.Now() + kHoldUpLook, [weak] {
    const std::shared_ptr<ActiveRun> self = weak.lock();
    if (!self || !self->working_) return;
    self->GiveUpIfTargetsFail();
    if (self->state() == v1::RUN_STATE_RUNNING && HoldUpOf(self->WaitsOn()) != self->told_hold_up_) {
      self->PlanProgressEvent();
    }
    self->LookForHoldUp();
  });
}

Task<void> ActiveRun::WriteProgressEvent([[maybe_unused]] std::shared_ptr<ActiveRun> self) {
  const AsyncMutex::Holder holder = co_await turn_.Enter();
  progress_timer_armed_ = false;
  next_progress_ = deps_.loop.Now() + options_.progress_interval;
  if (state() != v1::RUN_STATE_RUNNING || !working_) co_return;
  v1::RunEvent event;
  event.set_number(last_event_ + 1);
  *event.mutable_time() = ToTimestamp(WallMicros());
  *event.mutable_progress()->mutable_run() = Snapshot();
  event.mutable_progress()->mutable_run()->set_last_event(event.number());
  const v1::Run& told = event.progress().run();
  told_hold_up_ = HoldUpOf(told.has_waiting_on() ? std::optional(told.waiting_on()) : std::nullopt);
  WriteBatch batch;
  PutRecord(batch, EventKey(name(), event.number()), event);
  const Status stored = co_await store_.Commit(std::move(batch));
  if (stored.ok()) ++last_event_;
  changed_.NotifyAll();
}

}  // namespace millrace
