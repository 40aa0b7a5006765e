// Runs of the engine: created, read, waited for, and brought from one state into another.

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "server/engine/engine_state.h"
#include "server/engine/requests/page_token.h"
#include "server/engine/step/client_input.h"
#include "server/engine/times.h"
#include "server/storage/items.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr int kNameLength = 16;
constexpr size_t kRequestIdMax = 128;

Status Invalid(const std::string& field, const std::string& description) {
  return MakeFieldError(Reason::kInvalidField, field + ": " + description, {{field, description}});
}

// Of what the request asks for: neither its id nor how long it waits.
Digest DigestOf(v1::CreateRunRequest request) {
  request.clear_request_id();
  request.clear_wait();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&out);
  }
  return Digest::Of(bytes);
}

Status CheckRequest(const v1::CreateRunRequest& request) {
  if (request.request_id().size() > kRequestIdMax ||
      std::any_of(request.request_id().begin(), request.request_id().end(), [](char c) { return c < 33 || c > 126; })) {
    return Invalid("request_id", "1 to 128 printable ASCII characters without blanks");
  }
  if (request.source_case() == v1::CreateRunRequest::SOURCE_NOT_SET) {
    return Invalid("pipeline", "a pipeline's name or a definition is needed");
  }
  if (request.limit() < 0) return Invalid("limit", "at least 0");
  if (request.sample() < 0 || request.sample() > 10'000'000) return Invalid("sample", "0 to 10,000,000");
  if (request.limit() > 0 && request.sample() > 0) return Invalid("sample", "not together with `limit`");
  return absl::OkStatus();
}

// Fetches that the request names must be there, and once only.
Status CheckInputs(const v1::CreateRunRequest& request, const MadeStages& made) {
  const auto check = [&](const std::string& field, const std::string& stage) {
    const int index = made.plan.Find(stage);
    if (index < 0) return Invalid(field, fmt::format("no stage `{}`", Excerpt(stage)));
    if (made.plan.stage(index).shape != StageShape::kFetch) {
      return Invalid(field, fmt::format("stage `{}` is no fetch", stage));
    }
    return absl::OkStatus();
  };
  for (const auto& [stage, items] : request.items()) MR_RETURN_IF_ERROR(check("items." + stage, stage));
  for (int i = 0; i < request.client_inputs_size(); ++i) {
    MR_RETURN_IF_ERROR(check(fmt::format("client_inputs[{}]", i), request.client_inputs(i)));
    if (request.items().contains(request.client_inputs(i))) {
      return Invalid(fmt::format("client_inputs[{}]", i), "its items stand in `items` already");
    }
  }
  return absl::OkStatus();
}

// Records that are read and decoded together.
constexpr size_t kRunsAtOnce = 32;

// Waits until the run has ended or is paused, and what was in flight then is counted.
Task<void> AwaitRest(std::shared_ptr<ActiveRun> run, TimePoint deadline) {
  run->Follow();
  while (run->working() || (!IsEnded(run->recorded_state()) && run->recorded_state() != v1::RUN_STATE_PAUSED)) {
    if (const bool held = co_await run->changed().WaitUntil(deadline); !held) co_return;
  }
}

TimePoint Earlier(Loop& loop, TimePoint deadline, const google::protobuf::Duration* wait) {
  if (wait == nullptr) return deadline;
  // Far beyond any real wait, and far below where points of time end.
  const Duration longest = std::chrono::hours(24 * 365);
  return std::min(deadline, loop.Now() + std::clamp(ToDuration(*wait), Duration(0), longest));
}

}  // namespace

StatusOr<BoundPipeline> Engine::State::Bind(const v1::Pipeline& pipeline, const ParameterValues& values,
                                            const std::set<std::string>& client_inputs) const {
  if (options.bind_parameters) return options.bind_parameters(pipeline, values, client_inputs);
  return BoundPipeline{pipeline, values};
}

Task<StatusOr<Engine::State::Prepared>> Engine::State::Prepare(
    std::string name, const v1::Pipeline* definition, google::protobuf::Map<std::string, v1::ParameterValue> values,
    std::set<std::string> client_inputs) {
  StatusOr<v1::AppliedPipeline> applied = co_await Resolve(std::move(name), definition);
  if (!applied.ok()) co_return applied.status();
  StatusOr<BoundPipeline> bound =
      Bind(applied->pipeline(), ParameterValues(values.begin(), values.end()), client_inputs);
  if (!bound.ok()) co_return bound.status();
  Prepared prepared;
  prepared.applied = *std::move(applied);
  prepared.parameters = std::move(bound->parameters);
  prepared.definition = std::make_shared<const v1::Pipeline>(std::move(bound->pipeline));
  StatusOr<MadeStages> made = co_await MakeStages(parts, prepared.definition);
  if (!made.ok()) co_return made.status();
  prepared.made = *std::move(made);
  co_return prepared;
}

Task<StatusOr<v1::CreateRunResponse>> Engine::CreateRun(v1::CreateRunRequest request, TimePoint deadline) {
  State& state = *state_;
  MR_CO_RETURN_IF_ERROR(CheckRequest(request));
  const std::string request_id = request.request_id();
  const TimePoint wait_until = request.has_wait() ? Earlier(state.parts.loop, deadline, &request.wait()) : TimePoint{};
  const bool waits = request.has_wait();
  v1::CreateRunResponse response;
  std::string name;
  {
    // Racers with the same request id come one after another.
    std::optional<NamedMutex> request_turn;
    std::optional<AsyncMutex::Holder> holder;
    const Digest digest = DigestOf(request);
    if (!request_id.empty() && !request.validate_only()) {
      request_turn.emplace(state.request_turns, state.parts.loop, request_id);
      holder.emplace(co_await (**request_turn).Enter());
      auto before = co_await GetRecord<storage::v1::RequestRecord>(state.parts.store, RequestKey(request_id));
      if (!before.ok()) co_return before.status();
      if (*before) {
        if ((*before)->request_digest() != digest.bytes()) {
          co_return MakeError(Reason::kRequestIdReused,
                              fmt::format("request_id `{}` came before with another request", request_id));
        }
        name = (*before)->run();
        response.set_existed(true);
      }
    }
    if (name.empty()) {
      StatusOr<v1::Run> created = co_await Create(state, std::move(request), digest);
      if (!created.ok()) co_return created.status();
      name = created->name();
      *response.mutable_run() = *std::move(created);
      if (name.empty()) co_return response;  // only checked
    }
  }
  if (const std::shared_ptr<ActiveRun> run = state.FindActive(name); run && waits) co_await AwaitRest(run, wait_until);
  StatusOr<FoundRun> found = co_await state.Find(name);
  if (!found.ok()) co_return found.status();
  *response.mutable_run() = std::move(found->run);
  co_return response;
}

Task<StatusOr<v1::Run>> Engine::Create(State& state, v1::CreateRunRequest request, Digest digest) {
  MR_CO_RETURN_IF_ERROR(state.CheckOpen());
  if (static_cast<int64_t>(state.runs.size() + state.set_aside.size()) >= state.options.active_runs_max) {
    const Status status =
        MakeError(Reason::kTooMany, fmt::format("{} runs have not ended", state.runs.size() + state.set_aside.size()));
    co_return WithRetryDelay(status, std::chrono::seconds(10));
  }
  std::set<std::string> client_inputs(request.client_inputs().begin(), request.client_inputs().end());
  for (const auto& [stage, items] : request.items()) client_inputs.insert(stage);
  StatusOr<State::Prepared> prepared =
      co_await state.Prepare(request.pipeline(), request.has_definition() ? &request.definition() : nullptr,
                             request.parameters(), client_inputs);
  if (!prepared.ok()) co_return prepared.status();
  const std::shared_ptr<const v1::Pipeline> definition = prepared->definition;
  MadeStages& made = prepared->made;
  MR_CO_RETURN_IF_ERROR(CheckInputs(request, made));

  const int64_t now_micros = state.parts.loop.clock().WallMicros();
  storage::v1::RunRecord record;
  v1::Run& run = *record.mutable_run();
  run.set_pipeline(prepared->applied.pipeline().name());
  run.set_pipeline_digest(prepared->applied.digest());
  for (auto& [parameter, value] : prepared->parameters) (*run.mutable_parameters())[parameter] = std::move(value);
  *run.mutable_as_of() = request.has_as_of() ? request.as_of() : ToTimestamp(now_micros);
  run.set_state(v1::RUN_STATE_RUNNING);
  *run.mutable_create_time() = ToTimestamp(now_micros);
  *run.mutable_start_time() = run.create_time();
  run.set_request_id(request.request_id());
  run.set_limit(request.limit());
  run.set_sample(request.sample());
  record.set_request_digest(std::string(digest.bytes()));
  for (const std::string& stage : client_inputs) record.add_client_inputs(stage);
  record.set_refresh(request.refresh());

  const std::string name = "r-" + state.random.Name(kNameLength);
  WriteBatch batch;
  for (const auto& [stage, items] : request.items()) {
    const StageWork& work = *made.work[made.plan.Find(stage)];
    MR_CO_RETURN_IF_ERROR(PutClosedInput(*work.fetch, name, stage, items, batch));
  }
  if (request.validate_only()) co_return run;
  run.set_name(name);
  for (const PlanStage& stage : made.plan.stages()) {
    v1::StageProgress& progress = *run.add_stages();
    progress.set_stage(stage.name);
    progress.set_kind(stage.kind);
  }
  run.set_last_event(1);
  v1::RunEvent event;
  event.set_number(1);
  *event.mutable_time() = run.create_time();
  event.mutable_state_changed()->set_state(run.state());
  *event.mutable_state_changed()->mutable_run() = run;
  PutRecord(batch, EventKey(name, 1), event);
  storage::v1::RunRecord stored = record;
  definition->SerializeToString(stored.mutable_definition());
  PutRecord(batch, RunKey(name), stored);
  batch.Put(RunOrderKey(now_micros, name), "");
  batch.Put(ActiveRunKey(name), "");
  if (!request.request_id().empty()) {
    storage::v1::RequestRecord request_record;
    request_record.set_run(name);
    request_record.set_request_digest(std::string(digest.bytes()));
    request_record.set_time_micros(now_micros);
    PutRecord(batch, RequestKey(request.request_id()), request_record);
  }
  MR_CO_RETURN_IF_ERROR(co_await state.parts.store.Commit(std::move(batch)));

  // It is stored: from here on nothing may be refused. A drain that came in between leaves it to the next start.
  auto stages = co_await LoadStages(state.parts, state.patient, state.patient, std::move(made), record);
  if (!stages.ok()) co_return stages.status();
  const v1::Run answer = run;
  const std::shared_ptr<ActiveRun> active = state.MakeRun(std::move(record), *std::move(stages), 1);
  if (!state.draining) active->Start();
  co_return answer;
}

Task<StatusOr<v1::GetRunResponse>> Engine::GetRun(v1::GetRunRequest request) {
  StatusOr<FoundRun> found = co_await state_->Find(request.run());
  if (!found.ok()) co_return found.status();
  v1::GetRunResponse response;
  *response.mutable_run() = std::move(found->run);
  co_return response;
}

Task<StatusOr<v1::ListRunsResponse>> Engine::ListRuns(v1::ListRunsRequest request) {
  State& state = *state_;
  StatusOr<size_t> size = PageSize(request.page_size(), 50);
  if (!size.ok()) co_return size.status();
  std::string query = "runs/" + request.pipeline();
  for (const int wanted : request.states()) query += fmt::format("/{}", wanted);
  StatusOr<std::string> position = ReadPageToken(query, request.page_token());
  if (!position.ok()) co_return position.status();
  auto [begin, end] = RunOrderKeys();
  if (!position->empty()) end = *std::move(position);
  v1::ListRunsResponse response;
  std::string last;
  while (!end.empty()) {
    // A record holds its run's definition, which may be large: few at once, and off this thread.
    auto page = co_await state.parts.store.Scan(begin, std::move(end), std::min(*size, kRunsAtOnce), 1 << 20,
                                                Store::Direction::kBackwards);
    if (!page.ok()) co_return page.status();
    std::vector<std::string> keys;
    std::vector<std::string> names;
    for (const StoreEntry& entry : page->entries) {
      const std::optional<RunOrder> order = ReadRunOrderKey(entry.key);
      names.push_back(order ? order->run : "");
      keys.push_back(RunKey(names.back()));
    }
    auto values = co_await state.parts.store.MultiGet(keys);
    if (!values.ok()) co_return values.status();
    auto decode = [keys, values = *std::move(values)]() -> StatusOr<std::vector<std::optional<v1::Run>>> {
      std::vector<std::optional<v1::Run>> runs(keys.size());
      for (size_t i = 0; i < keys.size(); ++i) {
        storage::v1::RunRecord record;
        if (!values[i]) continue;
        MR_RETURN_IF_ERROR(DecodeValue(keys[i], *values[i], record));
        runs[i] = std::move(*record.mutable_run());
      }
      return runs;
    };
    auto runs = co_await Compute(state.parts.loop, state.parts.pool, std::move(decode));
    if (!runs.ok()) co_return runs.status();
    for (size_t i = 0; i < runs->size(); ++i) {
      if (!(*runs)[i]) continue;
      const std::shared_ptr<ActiveRun> active = state.FindActive(names[i]);
      v1::Run run = active ? active->Snapshot() : *std::move((*runs)[i]);
      if (!request.pipeline().empty() && run.pipeline() != request.pipeline()) continue;
      if (request.states_size() > 0 &&
          std::find(request.states().begin(), request.states().end(), run.state()) == request.states().end()) {
        continue;
      }
      if (static_cast<size_t>(response.runs_size()) == *size) {
        response.set_next_page_token(MakePageToken(query, last));
        co_return response;
      }
      *response.add_runs() = std::move(run);
      last = page->entries[i].key;
    }
    end = std::move(page->next);
  }
  co_return response;
}

Task<StatusOr<v1::WaitRunResponse>> Engine::WaitRun(v1::WaitRunRequest request, TimePoint deadline) {
  State& state = *state_;
  StatusOr<FoundRun> found = co_await state.Find(request.run());
  if (!found.ok()) co_return found.status();
  if (found->active) {
    const TimePoint until = Earlier(state.parts.loop, deadline, request.has_timeout() ? &request.timeout() : nullptr);
    co_await AwaitRest(found->active, until);
    found->run = found->active->Snapshot();
  }
  v1::WaitRunResponse response;
  *response.mutable_run() = std::move(found->run);
  co_return response;
}

Task<StatusOr<v1::PauseRunResponse>> Engine::PauseRun(v1::PauseRunRequest request) {
  StatusOr<v1::Run> run = co_await Change(request.run(), &ActiveRun::Pause, v1::RUN_STATE_UNSPECIFIED);
  if (!run.ok()) co_return run.status();
  v1::PauseRunResponse response;
  *response.mutable_run() = *std::move(run);
  co_return response;
}

Task<StatusOr<v1::ResumeRunResponse>> Engine::ResumeRun(v1::ResumeRunRequest request) {
  StatusOr<v1::Run> run = co_await Change(request.run(), &ActiveRun::Resume, v1::RUN_STATE_UNSPECIFIED);
  if (!run.ok()) co_return run.status();
  v1::ResumeRunResponse response;
  *response.mutable_run() = *std::move(run);
  co_return response;
}

Task<StatusOr<v1::CancelRunResponse>> Engine::CancelRun(v1::CancelRunRequest request) {
  StatusOr<v1::Run> run = co_await Change(request.run(), &ActiveRun::Cancel, v1::RUN_STATE_CANCELLED);
  if (!run.ok()) co_return run.status();
  v1::CancelRunResponse response;
  *response.mutable_run() = *std::move(run);
  co_return response;
}

Task<StatusOr<v1::Run>> Engine::Change(std::string name, Task<Status> (ActiveRun::*change)(), v1::RunState done_in) {
  MR_CO_RETURN_IF_ERROR(state_->CheckStore());
  StatusOr<FoundRun> found = co_await state_->Find(name);
  if (!found.ok()) co_return found.status();
  if (state_->set_aside.contains(name)) {
    if (change == &ActiveRun::Pause) co_return found->run;  // it is paused already
    found = co_await state_->TakeUp(name, done_in == v1::RUN_STATE_CANCELLED);
    if (!found.ok()) co_return found.status();
  }
  if (!found->active) {
    if (found->run.state() == done_in) co_return found->run;
    co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has ended", found->run.name()));
  }
  const std::shared_ptr<ActiveRun> run = found->active;
  MR_CO_RETURN_IF_ERROR(co_await ((*run).*change)());
  co_return run->Snapshot();
}

Task<StatusOr<v1::RedriveRunResponse>> Engine::RedriveRun(v1::RedriveRunRequest request) {
  State& state = *state_;
  MR_CO_RETURN_IF_ERROR(state.CheckOpen());
  const std::string name = request.run();
  NamedMutex named(state.run_turns, state.parts.loop, name);
  const AsyncMutex::Holder holder = co_await (*named).Enter();
  StatusOr<FoundRun> found = co_await state.Find(name);
  if (!found.ok()) co_return found.status();
  if (found->active && IsEnded(found->active->state())) {
    // Its last calls are being stored.
    while (found->active->working()) co_await found->active->changed().Wait();
    found = co_await state.Find(name);
    if (!found.ok()) co_return found.status();
  }
  if (!IsEnded(found->run.state())) {
    co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has not ended", name));
  }
  auto run = co_await state.Load(std::move(found->record));
  if (!run.ok()) co_return run.status();
  StatusOr<int64_t> items = co_await (*run)->Redrive(std::move(request));
  if (!items.ok() || !(*run)->working()) state.runs.erase(name);
  if (!items.ok()) co_return items.status();
  v1::RedriveRunResponse response;
  response.set_items(*items);
  *response.mutable_run() = (*run)->Snapshot();
  co_return response;
}

Task<StatusOr<v1::DeleteRunResponse>> Engine::DeleteRun(v1::DeleteRunRequest request) {
  State& state = *state_;
  const std::string name = request.run();
  NamedMutex named(state.run_turns, state.parts.loop, name);
  const AsyncMutex::Holder holder = co_await (*named).Enter();
  StatusOr<FoundRun> found = co_await state.Find(name);
  if (!found.ok()) co_return found.status();
  if (!IsEnded(found->run.state())) {
    co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has not ended", name));
  }
  while (found->active && found->active->working()) co_await found->active->changed().Wait();
  WriteBatch batch;
  DeleteRunKeys(batch, name);
  batch.Delete(RunOrderKey(ToMicros(found->run.create_time()), name));
  if (!found->run.request_id().empty()) batch.Delete(RequestKey(found->run.request_id()));
  const bool parked = std::any_of(found->run.stages().begin(), found->run.stages().end(),
                                  [](const v1::StageProgress& stage) { return stage.parked() > 0; });
  auto [begin, end] = ParkedKeys();
  while (parked && !begin.empty()) {
    auto page = co_await state.parts.store.Scan(std::move(begin), end);
    if (!page.ok()) co_return page.status();
    for (const StoreEntry& entry : page->entries) {
      const std::optional<ParkedItem> item = ReadParkedKey(entry.key);
      if (item && item->run == name) batch.Delete(entry.key);
    }
    begin = std::move(page->next);
  }
  MR_CO_RETURN_IF_ERROR(co_await state.parts.store.Commit(std::move(batch)));
  co_return v1::DeleteRunResponse();
}

}  // namespace millrace
