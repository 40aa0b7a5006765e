#include "server/engine/engine.h"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "server/engine/engine_state.h"
#include "server/engine/run/stage_counts.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {

static StatusOr<v1::Pipeline> DefinitionOf(const storage::v1::RunRecord& record) {
  v1::Pipeline definition;
  if (definition.ParseFromString(record.definition())) return definition;
  return MakeError(Reason::kStoreCorrupt, "the run's definition can't be read");
}

Engine::State::State(EngineDeps the_parts, Random the_random, EngineOptions the_options)
    : parts(the_parts),
      random(the_random),
      options(std::move(the_options)),
      patient(parts.loop, parts.store),
      start_micros(parts.loop.clock().WallMicros()),
      parking(parts.loop, parts.store, [this](const std::string& run) { return FindActive(run); }),
      pipelines_turn(parts.loop) {}

Engine::Engine(EngineDeps deps, Random random, EngineOptions options)
    : state_(std::make_unique<State>(deps, random, std::move(options))) {}

Engine::~Engine() = default;

std::shared_ptr<ActiveRun> Engine::State::FindActive(const std::string& run) const {
  const auto found = runs.find(run);
  return found == runs.end() ? nullptr : found->second;
}

std::shared_ptr<ActiveRun> Engine::State::MakeRun(storage::v1::RunRecord record, RunStages stages, int64_t last_event) {
  for (const auto& slot : stages.slots) slot->rows->set_item_bytes_max(options.item_bytes_max);
  RunHooks hooks;
  hooks.rested = [this](const std::string& run) { runs.erase(run); };
  hooks.look_for_parked = [this] { parking.Look(); };
  hooks.memos = &memos;
  auto run = std::make_shared<ActiveRun>(parts, options, patient, std::move(record), std::move(stages), last_event,
                                         std::move(hooks));
  // One that is made while the server goes down starts nothing.
  if (draining) run->KeepAtRest();
  set_aside.erase(run->name());
  runs[run->name()] = run;
  return run;
}

Task<StatusOr<FoundRun>> Engine::State::Find(std::string name) {
  auto record = co_await GetRecord<storage::v1::RunRecord>(parts.store, RunKey(name));
  if (!record.ok()) co_return record.status();
  if (!*record) {
    co_return MakeError(Reason::kRunNotFound, fmt::format("no run `{}`", Excerpt(name)));
  }
  FoundRun found;
  found.record = *std::move(*record);
  found.active = FindActive(name);
  if (found.active) {
    found.run = found.active->Snapshot();
  } else {
    found.run = found.record.run();
  }
  co_return found;
}

Task<StatusOr<std::shared_ptr<ActiveRun>>> Engine::State::Load(storage::v1::RunRecord record) {
  const std::string name = record.run().name();
  StatusOr<v1::Pipeline> definition = DefinitionOf(record);
  if (!definition.ok()) co_return definition.status();
  record.clear_definition();
  StatusOr<MadeStages> made = co_await MakeStages(parts, std::make_shared<const v1::Pipeline>(*std::move(definition)));
  if (!made.ok()) co_return made.status();
  auto stages = co_await LoadStages(parts, parts.store, patient, *std::move(made), record);
  if (!stages.ok()) co_return stages.status();
  auto newest = co_await LoadNewestEvent(parts.store, name);
  if (!newest.ok()) co_return newest.status();
  if (newest->active_time && !IsEnded(record.run().state())) {
    *record.mutable_run()->mutable_active_time() = *newest->active_time;
  }
  co_return MakeRun(std::move(record), *std::move(stages), newest->number);
}

Task<StatusOr<FoundRun>> Engine::State::TakeUp(std::string name, bool cancels) {
  if (!set_aside.contains(name)) co_return co_await Find(std::move(name));
  NamedMutex named(run_turns, parts.loop, name);
  const AsyncMutex::Holder holder = co_await (*named).Enter();
  StatusOr<FoundRun> found = co_await Find(name);
  if (!found.ok() || found->active || !set_aside.contains(name)) co_return found;
  storage::v1::RunRecord record = found->record;
  auto run = co_await Load(std::move(record));
  if (run.ok()) {
    found->active = *std::move(run);
    co_return found;
  }
  if (!cancels || run.status().code() == absl::StatusCode::kUnavailable) {
    co_return WithContext(run.status(), fmt::format("run `{}` can't go on with this configuration", name));
  }
  MR_CO_RETURN_IF_ERROR(co_await EndUnloaded(std::move(found->record), v1::RUN_STATE_CANCELLED, std::nullopt));
  co_return co_await Find(name);
}

// Brings the counts of a run that is not in memory up to date: its record has those of its last change of state, and
// keeps them where other records are damaged.
static Task<void> CountUnloaded(Store& store, storage::v1::RunRecord& record) {
  FoundRun found;
  found.record = record;
  const StatusOr<Plan> plan = found.MakePlan();
  if (!plan.ok()) co_return;
  std::vector<storage::v1::StageRecord> stages(static_cast<size_t>(plan->size()));
  for (int i = 0; i < plan->size(); ++i) {
    auto stage =
        co_await GetRecord<storage::v1::StageRecord>(store, StageKey(record.run().name(), plan->stage(i).name));
    if (!stage.ok()) co_return;
    if (*stage) stages[static_cast<size_t>(i)] = *std::move(*stage);
  }
  record.mutable_run()->clear_stages();
  for (int i = 0; i < plan->size(); ++i) {
    *record.mutable_run()->add_stages() = ProgressOf(
        *plan, i, [&](int at) -> auto& { return stages[static_cast<size_t>(at)]; });
  }
}

Task<Status> Engine::State::EndUnloaded(storage::v1::RunRecord record, v1::RunState ended_as,
                                        std::optional<v1::RunError> error) {
  const std::string name = record.run().name();
  auto newest = co_await LoadNewestEvent(parts.store, name);
  if (!newest.ok()) co_return newest.status();
  const int64_t now_micros = parts.loop.clock().WallMicros();
  v1::Run& run = *record.mutable_run();
  co_await CountUnloaded(patient, record);
  if (newest->active_time) *run.mutable_active_time() = *newest->active_time;
  run.set_state(ended_as);
  run.clear_waiting_on();
  *run.mutable_end_time() = ToTimestamp(now_micros);
  if (error) *run.mutable_error() = *std::move(error);
  run.set_last_event(newest->number + 1);
  v1::RunEvent event;
  event.set_number(run.last_event());
  *event.mutable_time() = ToTimestamp(now_micros);
  event.mutable_state_changed()->set_state(run.state());
  *event.mutable_state_changed()->mutable_run() = run;
  WriteBatch batch;
  PutRecord(batch, EventKey(name, event.number()), event);
  PutRecord(batch, RunKey(name), record);
  batch.Delete(ActiveRunKey(name));
  MR_CO_RETURN_IF_ERROR(co_await patient.Commit(std::move(batch)));
  set_aside.erase(name);
  co_return absl::OkStatus();
}

// A run whose stages can't be made any more (a model was taken out of the configuration): a paused one waits for them,
// another one fails, and can be redriven when they can.
static Task<Status> SetAside(Engine::State& state, storage::v1::RunRecord record, Status status) {
  const std::string& name = record.run().name();
  if (IsEnded(record.run().state())) {  // it was ended, and stopped before all of it was
    WriteBatch batch;
    batch.Delete(ActiveRunKey(name));
    co_return co_await state.patient.Commit(std::move(batch));
  }
  spdlog::warn("run {} can't go on with this configuration: {}", name, MessageOf(status));
  if (record.run().state() == v1::RUN_STATE_PAUSED) {
    state.set_aside[name] = record.run().pipeline();
    co_return absl::OkStatus();
  }
  const StageItem failed = FailedItem(status);
  v1::RunError error;
  error.set_reason(failed.reason);
  error.set_message(failed.message);
  co_return co_await state.EndUnloaded(std::move(record), v1::RUN_STATE_FAILED, std::move(error));
}

Task<Status> Engine::Recover() {
  State& state = *state_;
  auto [begin, end] = ActiveRunKeys();
  while (!begin.empty()) {
    auto page = co_await state.parts.store.Scan(std::move(begin), end);
    if (!page.ok()) co_return page.status();
    for (const StoreEntry& entry : page->entries) {
      const std::optional<std::string> name = ReadActiveRunKey(entry.key);
      if (!name) continue;
      auto record = co_await GetRecord<storage::v1::RunRecord>(state.parts.store, RunKey(*name));
      if (!record.ok()) co_return WithContext(record.status(), "run `" + *name + "`");
      if (!*record) continue;
      storage::v1::RunRecord copy = **record;
      auto run = co_await state.Load(*std::move(*record));
      if (!run.ok()) {
        if (run.status().code() == absl::StatusCode::kUnavailable) co_return run.status();
        MR_CO_RETURN_IF_ERROR(co_await SetAside(state, std::move(copy), run.status()));
        continue;
      }
      const v1::RunState found = (*run)->state();
      if (IsEnded(found) || (found == v1::RUN_STATE_RUNNING && state.options.starts_runs)) (*run)->Start();
    }
    begin = std::move(page->next);
  }
  state.parts.loop.Spawn(state.WatchStore());
  state.parts.loop.Spawn(state.parking.Watch());
  co_return absl::OkStatus();
}

Task<void> Engine::State::WatchStore() {
  StoreState last = parts.store.state();
  while (true) {
    co_await parts.store.WaitForChange(last);
    last = parts.store.state();
    const std::map<std::string, std::shared_ptr<ActiveRun>> present = runs;
    for (const auto& [name, run] : present) run->WakeSteps();
  }
}

Status Engine::State::CheckOpen() const {
  if (draining) {
    const Status status = MakeError(Reason::kDraining, "the server is going down");
    return WithRetryDelay(status, std::chrono::seconds(5));
  }
  switch (parts.store.state()) {
    case StoreState::kOk:
      return absl::OkStatus();
    case StoreState::kDiskLow: {
      const Status status =
          MakeError(Reason::kDiskLow, "the disk of the data directory is nearly full: no new work until there is room");
      return WithRetryDelay(status, std::chrono::seconds(10));
    }
    case StoreState::kReopening:
      break;
  }
  return CheckStore();
}

Status Engine::State::CheckStore() const {
  if (parts.store.state() != StoreState::kReopening) return absl::OkStatus();
  const Status status = MakeError(Reason::kStoreUnavailable, "the store is being reopened");
  return WithRetryDelay(status, std::chrono::seconds(1));
}

Task<void> Engine::Drain(TimePoint deadline) {
  State& state = *state_;
  state.draining = true;
  const std::map<std::string, std::shared_ptr<ActiveRun>> present = state.runs;
  TaskGroup group(state.parts.loop);
  for (const auto& [name, run] : present) group.Spawn(run->Drain(deadline));
  co_await state.parts.desk.Drain(deadline);
  co_await group.Join();
}

StatusOr<Plan> FoundRun::MakePlan() const {
  if (active) return active->plan();
  MR_ASSIGN_OR_RETURN(const v1::Pipeline definition, DefinitionOf(record));
  std::vector<StageShape> shapes;
  for (const v1::Stage& stage : definition.stages()) {
    switch (stage.kind_case()) {
      case v1::Stage::kFetch:
        shapes.push_back(StageShape::kFetch);
        break;
      case v1::Stage::kCluster:
      case v1::Stage::kMerge:
        shapes.push_back(StageShape::kBarrier);
        break;
      case v1::Stage::kStore:
        shapes.push_back(StageShape::kSink);
        break;
      default:
        shapes.push_back(StageShape::kItems);
        break;
    }
  }
  return Plan::Make(definition, shapes);
}

}  // namespace millrace
