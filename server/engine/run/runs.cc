#include "server/engine/run/runs.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "server/engine/run/config_wait.h"
#include "server/engine/stage_counts.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

StatusOr<v1::Pipeline> DefinitionOf(const storage::v1::RunRecord& record) {
  v1::Pipeline definition;
  if (definition.ParseFromString(record.definition())) return definition;
  return MakeError(Reason::kStoreCorrupt, "the stored definition of the run is damaged");
}

// Returns the plan of a stored run; its stages have the shapes of their kinds.
StatusOr<Plan> StoredPlan(const storage::v1::RunRecord& record, const StageRegistry& kinds) {
  MR_ASSIGN_OR_RETURN(const v1::Pipeline definition, DefinitionOf(record));
  std::vector<StageShape> shapes;
  for (const v1::Stage& stage : definition.stages()) {
    const std::optional<StageShape> shape = kinds.ShapeOf(stage);
    if (!shape) {
      return MakeError(Reason::kInvalidDefinition, fmt::format("stage `{}` has an unknown kind", stage.name()));
    }
    shapes.push_back(*shape);
  }
  return Plan::Make(definition, shapes);
}

// Brings the counts of a run that is not active up to date: its record has those of its last change of state. It keeps
// them if other records are damaged.
Task<void> UpdateCounts(Store& store, const StageRegistry& kinds, storage::v1::RunRecord& record) {
  const StatusOr<Plan> plan = StoredPlan(record, kinds);
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

}  // namespace

Runs::Runs(const EngineDeps& deps, const EngineOptions& options, Store& store, const WorkGate& gate)
    : deps_(deps),
      options_(options),
      store_(store),
      gate_(gate),
      parking_(deps.loop, deps.store, [this](const std::string& run) { return FindActive(run); }),
      mutexes_(deps.loop) {}

std::shared_ptr<ActiveRun> Runs::FindActive(const std::string& name) const {
  const auto found = active_.find(name);
  return found == active_.end() ? nullptr : found->second;
}

bool Runs::IsOpen(const std::string& name) const {
  const std::shared_ptr<ActiveRun> active = FindActive(name);
  return active ? !IsEnded(active->state()) : IsUnloadable(name);
}

int64_t Runs::CountOpen() const {
  const auto open =
      std::count_if(active_.begin(), active_.end(), [](const auto& entry) { return !IsEnded(entry.second->state()); });
  return open + static_cast<int64_t>(unloadable_.size());
}

std::optional<std::string> Runs::FindOpenRunOf(const std::string& pipeline) const {
  for (const auto& [name, run] : active_) {
    if (!IsEnded(run->state()) && run->record().run().pipeline() == pipeline) return name;
  }
  for (const auto& [name, run] : unloadable_) {
    if (run.pipeline == pipeline) return name;
  }
  return std::nullopt;
}

std::shared_ptr<ActiveRun> Runs::Activate(storage::v1::RunRecord record, RunStages stages, int64_t last_event) {
  for (const auto& slot : stages.slots) slot->rows->set_item_bytes_max(options_.item_bytes_max);
  RunHooks hooks;
  hooks.rested = [this](const std::string& run) { active_.erase(run); };
  hooks.look_for_parked = [this] { parking_.Look(); };
  hooks.memos = &memo_figures_;
  auto run = std::make_shared<ActiveRun>(deps_, options_, store_, std::move(record), std::move(stages), last_event,
                                         std::move(hooks));
  if (gate_.draining()) run->KeepAtRest();
  unloadable_.erase(run->name());
  active_[run->name()] = run;
  return run;
}

Task<StatusOr<FoundRun>> Runs::Find(std::string name) {
  MR_CO_ASSIGN_OR_RETURN(auto record, co_await GetRecord<storage::v1::RunRecord>(deps_.store, RunKey(name)));
  if (!record) co_return MakeError(Reason::kRunNotFound, fmt::format("no run `{}`", Excerpt(name)));
  FoundRun found;
  found.record = *std::move(record);
  if (!FindActive(name) && IsUnloadable(name)) co_await UpdateCounts(deps_.store, deps_.stages, found.record);
  found.active = FindActive(name);  // another request may have loaded it meanwhile
  TakenOver taken;
  if (found.active) {
    co_await found.active->ReadTakenOver();
  } else {
    MR_CO_ASSIGN_OR_RETURN(taken, co_await LoadTakenOver(deps_.store, name));
    found.active = FindActive(name);
  }
  found.run = found.active ? found.active->Snapshot() : found.record.run();
  if (!found.active) {
    AddTakenOver(taken, found.run);
    ShowWait(found.run);
  }
  co_return found;
}

void Runs::ShowWait(v1::Run& run) const {
  const auto unloadable = unloadable_.find(run.name());
  if (unloadable == unloadable_.end() || run.state() != v1::RUN_STATE_RUNNING) return;
  *run.mutable_waiting_on() = unloadable->second.waiting;
}

Task<StatusOr<std::shared_ptr<ActiveRun>>> Runs::Add(storage::v1::RunRecord record, MadeStages made) {
  MR_CO_ASSIGN_OR_RETURN(RunStages stages, co_await LoadStages(deps_, store_, store_, std::move(made), record));
  std::shared_ptr<ActiveRun> run = Activate(std::move(record), std::move(stages), 1);
  run->Start();  // does nothing if the server drains: the run starts with the next server
  co_return run;
}

Task<StatusOr<std::shared_ptr<ActiveRun>>> Runs::Load(storage::v1::RunRecord record) {
  const std::string name = record.run().name();
  MR_CO_ASSIGN_OR_RETURN(v1::Pipeline definition, DefinitionOf(record));
  record.clear_definition();
  auto shared = std::make_shared<const v1::Pipeline>(std::move(definition));
  RunFiles files{.directory = record.working_directory(),
                 .typed = {record.typed_files().begin(), record.typed_files().end()}};
  MR_CO_ASSIGN_OR_RETURN(MadeStages made,
                         co_await MakeStages(deps_, std::move(shared), std::move(files), WorkLimits(), nullptr));
  MR_CO_ASSIGN_OR_RETURN(RunStages stages, co_await LoadStages(deps_, deps_.store, store_, std::move(made), record));
  MR_CO_ASSIGN_OR_RETURN(const NewestEvent newest, co_await LoadNewestEvent(deps_.store, name));
  if (newest.active_time && !IsEnded(record.run().state())) {
    *record.mutable_run()->mutable_active_time() = *newest.active_time;
  }
  MR_CO_ASSIGN_OR_RETURN(TakenOver taken_over, co_await LoadTakenOver(deps_.store, name));
  std::shared_ptr<ActiveRun> run = Activate(std::move(record), std::move(stages), newest.number);
  run->ShowTakenOver(std::move(taken_over));
  run->SetLoaded();
  co_return run;
}

Task<StatusOr<FoundRun>> Runs::FindLoaded(std::string name, IfUnloadable otherwise) {
  if (!IsUnloadable(name)) co_return co_await Find(std::move(name));
  const NamedMutex::Holder holder = co_await Lock(name);
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await Find(name));
  if (found.active || !IsUnloadable(name)) co_return found;
  storage::v1::RunRecord record = found.record;
  auto run = co_await Load(std::move(record));
  if (run.ok()) {
    found.active = *std::move(run);
    if (options_.starts_runs) found.active->Follow();
    co_return found;
  }
  if (otherwise == IfUnloadable::kFail || run.status().code() == absl::StatusCode::kUnavailable) {
    const std::string context = fmt::format("run `{}` can't continue with this configuration", name);
    if (ReasonOf(run.status()) != Reason::kModelNotFound) co_return WithContext(run.status(), context);
    const v1::WaitingOn waiting = WaitForConfig(deps_, found.record, run.status());
    co_return MakeError(Reason::kModelNotFound, fmt::format("{}: {}", context, waiting.remedy()));
  }
  MR_CO_RETURN_IF_ERROR(co_await ChangeInactive(std::move(found.record), v1::RUN_STATE_CANCELLED, std::nullopt));
  co_return co_await Find(name);
}

Task<StatusOr<v1::Run>> Runs::PauseUnloadable(std::string name) {
  const NamedMutex::Holder holder = co_await Lock(name);
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await Find(name));
  if (found.active) {  // another request has loaded it
    const std::shared_ptr<ActiveRun> run = found.active;
    MR_CO_RETURN_IF_ERROR(co_await run->Pause());
    co_return run->Snapshot();
  }
  if (!IsUnloadable(name) || found.run.state() == v1::RUN_STATE_PAUSED) co_return found.run;
  v1::WaitingOn& waiting = *found.record.mutable_run()->mutable_waiting_on();
  waiting.set_reason(v1::WaitingOn::REASON_USER);
  *waiting.mutable_since() = ToTimestamp(deps_.loop.clock().WallMicros());
  waiting.set_remedy("resume the run");
  MR_CO_RETURN_IF_ERROR(co_await ChangeInactive(std::move(found.record), v1::RUN_STATE_PAUSED, std::nullopt));
  MR_CO_ASSIGN_OR_RETURN(found, co_await Find(name));
  co_return found.run;
}

Task<Status> Runs::ChangeInactive(storage::v1::RunRecord record, v1::RunState state,
                                  std::optional<v1::RunError> error) {
  const std::string name = record.run().name();
  MR_CO_ASSIGN_OR_RETURN(const NewestEvent newest, co_await LoadNewestEvent(deps_.store, name));
  const int64_t now_micros = deps_.loop.clock().WallMicros();
  v1::Run& run = *record.mutable_run();
  co_await UpdateCounts(store_, deps_.stages, record);
  if (newest.active_time) *run.mutable_active_time() = *newest.active_time;
  run.set_state(state);
  if (IsEnded(state)) {
    run.clear_waiting_on();
    *run.mutable_end_time() = ToTimestamp(now_micros);
  }
  if (error) *run.mutable_error() = *std::move(error);
  WriteBatch batch;
  if (IsEnded(state)) batch.Delete(ActiveRunKey(name));
  MR_CO_RETURN_IF_ERROR(co_await StoreInactive(std::move(record), newest, std::move(batch)));
  if (IsEnded(state)) unloadable_.erase(name);
  co_return absl::OkStatus();
}

Task<Status> Runs::StoreInactive(storage::v1::RunRecord record, NewestEvent newest, WriteBatch batch) {
  v1::Run& run = *record.mutable_run();
  run.set_last_event(newest.number + 1);
  v1::RunEvent event;
  event.set_number(run.last_event());
  *event.mutable_time() = ToTimestamp(deps_.loop.clock().WallMicros());
  event.mutable_state_changed()->set_state(run.state());
  *event.mutable_state_changed()->mutable_run() = run;
  PutRecord(batch, EventKey(run.name(), event.number()), event);
  PutRecord(batch, RunKey(run.name()), record);
  co_return co_await store_.Commit(std::move(batch));
}

Task<Status> Runs::PauseForRestarts(storage::v1::RunRecord record) {
  const std::string name = record.run().name();
  spdlog::warn("run {} is paused: the server was killed {} times in a row while it worked on it", name,
               options_.starts_max);
  MR_CO_ASSIGN_OR_RETURN(const NewestEvent newest, co_await LoadNewestEvent(deps_.store, name));
  v1::Run& run = *record.mutable_run();
  co_await UpdateCounts(store_, deps_.stages, record);
  if (newest.active_time) *run.mutable_active_time() = *newest.active_time;
  run.set_state(v1::RUN_STATE_PAUSED);
  v1::WaitingOn& waiting = *run.mutable_waiting_on();
  waiting.Clear();
  waiting.set_reason(v1::WaitingOn::REASON_REPAIR);
  *waiting.mutable_since() = ToTimestamp(deps_.loop.clock().WallMicros());
  waiting.set_remedy(fmt::format(
      "the server was killed {} times in a row while it worked on this run, without any progress of the run: look for "
      "items or patterns that take much memory, then resume the run, or cancel it",
      options_.starts_max));
  const std::string pipeline = run.pipeline();
  WriteBatch batch;
  PutActiveRun(batch, name, 0);
  MR_CO_RETURN_IF_ERROR(co_await StoreInactive(std::move(record), newest, std::move(batch)));
  unloadable_[name] = {.pipeline = pipeline, .waiting = {}};
  co_return absl::OkStatus();
}

Task<Status> Runs::GiveUpLoading(storage::v1::RunRecord record, Status why) {
  const std::string& name = record.run().name();
  if (IsEnded(record.run().state())) {  // the process died between its end and its rest
    WriteBatch batch;
    batch.Delete(ActiveRunKey(name));
    co_return co_await store_.Commit(std::move(batch));
  }
  // A command that only looks at the store says what the run waits for if it shows the run.
  if (options_.starts_runs) spdlog::warn("run {} can't continue with this configuration: {}", name, MessageOf(why));
  const bool is_damaged = why.code() == absl::StatusCode::kDataLoss;
  if (!is_damaged || !options_.starts_runs || record.run().state() == v1::RUN_STATE_PAUSED) {
    unloadable_[name] = {.pipeline = record.run().pipeline(), .waiting = WaitForConfig(deps_, record, why)};
    if (!options_.starts_runs || options_.starts_max <= 0) co_return absl::OkStatus();
    // The run did not start: the restarts of this server say nothing about it.
    WriteBatch batch;
    PutActiveRun(batch, name, 0);
    co_return co_await store_.Commit(std::move(batch), CommitMode::kReadable);
  }
  const StageItem failed = FailedItem(why);
  v1::RunError error;
  error.set_reason(failed.reason);
  error.set_message(failed.message);
  co_return co_await ChangeInactive(std::move(record), v1::RUN_STATE_FAILED, std::move(error));
}

Task<Status> Runs::Recover() {
  StatusOr<PendingByRun> pending = co_await CountPending(deps_.store, std::nullopt);
  auto [begin, end] = ActiveRunKeys();
  while (!begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await deps_.store.Scan(std::move(begin), end));
    for (const StoreEntry& entry : page.entries) {
      const std::optional<std::string> name = ReadActiveRunKey(entry.key);
      if (!name) continue;
      auto record = co_await GetRecord<storage::v1::RunRecord>(deps_.store, RunKey(*name));
      if (!record.ok()) co_return WithContext(record.status(), "run `" + *name + "`");
      if (!*record) continue;
      const bool was_at_work = (*record)->run().state() == v1::RUN_STATE_RUNNING && options_.starts_runs;
      const int starts = ReadStarts(entry);
      if (was_at_work && options_.starts_max > 0 && starts >= options_.starts_max) {
        // Before it is loaded: its stages may be what kills the server.
        MR_CO_RETURN_IF_ERROR(co_await PauseForRestarts(*std::move(*record)));
        continue;
      }
      if (was_at_work && options_.starts_max > 0) {
        WriteBatch batch;
        PutActiveRun(batch, *name, starts + 1);
        MR_CO_RETURN_IF_ERROR(co_await deps_.store.Commit(std::move(batch), CommitMode::kReadable));
      }
      storage::v1::RunRecord copy = **record;
      auto run = co_await Load(*std::move(*record));
      if (!run.ok()) {
        if (run.status().code() == absl::StatusCode::kUnavailable) co_return run.status();
        MR_CO_RETURN_IF_ERROR(co_await GiveUpLoading(std::move(copy), run.status()));
        continue;
      }
      if (was_at_work) (*run)->set_starts(starts + 1);
      if (pending.ok()) (*run)->ShowLeft((*pending)[*name]);  // else a count is too small until the run starts
      const v1::RunState state = (*run)->state();
      // A run that has ended is here if it was not at rest yet: starting it brings it to rest.
      if (IsEnded(state) || (state == v1::RUN_STATE_RUNNING && options_.starts_runs)) (*run)->Start();
    }
    begin = std::move(page.next);
  }
  deps_.loop.Spawn(WatchStore());
  deps_.loop.Spawn(parking_.Watch());
  co_return absl::OkStatus();
}

Task<void> Runs::WatchStore() {
  StoreState last = deps_.store.state();
  while (true) {
    co_await deps_.store.WaitForChange(last);
    last = deps_.store.state();
    const std::map<std::string, std::shared_ptr<ActiveRun>> present = active_;
    for (const auto& [name, run] : present) run->WakeSteps();
  }
}

Task<void> Runs::Drain(TimePoint deadline) {
  const std::map<std::string, std::shared_ptr<ActiveRun>> present = active_;
  TaskGroup group(deps_.loop);
  for (const auto& [name, run] : present) group.Spawn(run->Drain(deadline));
  co_await group.Join();
  // The runs did not end this process: the next start of each is its first again.
  WriteBatch batch;
  for (const auto& [name, run] : active_) {
    if (options_.starts_max > 0 && !IsEnded(run->state())) PutActiveRun(batch, name, 0);
  }
  if (batch.empty()) co_return;
  const Status stored = co_await deps_.store.Commit(std::move(batch), CommitMode::kReadable);
  if (!stored.ok()) spdlog::warn("the starts of runs can't be reset: {}", MessageOf(stored));
}

StatusOr<Plan> Runs::PlanOf(const FoundRun& found) const {
  if (found.active) return found.active->plan();
  return StoredPlan(found.record, deps_.stages);
}

}  // namespace millrace
