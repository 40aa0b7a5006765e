#include "server/engine/requests/run_creator.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "server/config/canonical.h"
#include "server/engine/run/source_fields.h"
#include "server/engine/step/client_input.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr int kNameLength = 16;
constexpr size_t kRequestIdMax = 128;

Status InvalidField(const std::string& field, const std::string& description) {
  return MakeFieldError(Reason::kInvalidField, field + ": " + description, {{field, description}});
}

Status CheckRequest(const v1::CreateRunRequest& request) {
  if (request.request_id().size() > kRequestIdMax ||
      std::any_of(request.request_id().begin(), request.request_id().end(), [](char c) { return c < 33 || c > 126; })) {
    return InvalidField("request_id", "1 to 128 printable ASCII characters without blanks");
  }
  if (request.source_case() == v1::CreateRunRequest::SOURCE_NOT_SET) {
    return InvalidField("pipeline", "a pipeline's name or a definition is needed");
  }
  if (request.limit() < 0) return InvalidField("limit", "at least 0");
  if (request.sample() < 0 || request.sample() > 10'000'000) return InvalidField("sample", "0 to 10,000,000");
  if (request.has_give_up_after()) {
    const Duration after = ToDuration(request.give_up_after());
    if (after < std::chrono::seconds(1) || after > std::chrono::hours(24)) {
      return InvalidField("give_up_after", "1 second to 24 hours");
    }
  }
  if (request.limit() > 0 && request.sample() > 0) return InvalidField("sample", "not together with `limit`");
  return absl::OkStatus();
}

// The stages that the request sends items to must be fetches, and none may be named twice.
Status CheckInputs(const v1::CreateRunRequest& request, const MadeStages& made) {
  const auto check = [&](const std::string& field, const std::string& stage) {
    const int index = made.plan.Find(stage);
    if (index < 0) return InvalidField(field, fmt::format("no stage `{}`", Excerpt(stage)));
    if (made.plan.stage(index).shape != StageShape::kFetch) {
      return InvalidField(field, fmt::format("stage `{}` is not a fetch", stage));
    }
    return absl::OkStatus();
  };
  for (const auto& [stage, items] : request.items()) MR_RETURN_IF_ERROR(check("items." + stage, stage));
  for (int i = 0; i < request.client_inputs_size(); ++i) {
    const std::string field = fmt::format("client_inputs[{}]", i);
    MR_RETURN_IF_ERROR(check(field, request.client_inputs(i)));
    if (request.items().contains(request.client_inputs(i))) {
      return InvalidField(field, "`items` already has the items of this stage");
    }
  }
  return absl::OkStatus();
}

// A fetch and the file that it reads.
struct FetchFile {
  std::string stage;
  std::string path;
};

std::vector<FetchFile> FilesRead(const MadeStages& made, const std::set<std::string>& client_inputs) {
  std::vector<FetchFile> files;
  for (int i = 0; i < made.plan.size(); ++i) {
    const PlanStage& stage = made.plan.stage(i);
    if (stage.shape != StageShape::kFetch || client_inputs.contains(stage.name)) continue;
    std::string path = WorkAs<FetchStage>(*made.work[static_cast<size_t>(i)]).path();
    if (!path.empty()) files.push_back({stage.name, std::move(path)});
  }
  return files;
}

// Refuses files that may not be read. A file that does not exist may appear before the run reads it. Blocks.
Status CheckAllowed(const FileAccess& access, const std::vector<FetchFile>& files) {
  for (const FetchFile& file : files) {
    const Status status = access.ForReading(file.path).status();
    if (ReasonOf(status) != Reason::kFileNotAllowed) continue;
    return WithContext(status, fmt::format("stage `{}`", file.stage));
  }
  return absl::OkStatus();
}

}  // namespace

Digest RequestDigest(v1::CreateRunRequest request) {
  request.clear_request_id();
  request.clear_wait();
  return Digest::Of(CanonicalFields(request, Effect::kAny, {}));
}

Task<StatusOr<v1::CreateRunResponse>> RunCreator::Create(v1::CreateRunRequest request,
                                                         std::shared_ptr<StopSignal> left) {
  MR_CO_RETURN_IF_ERROR(CheckRequest(request));
  v1::CreateRunResponse response;
  if (request.request_id().empty() || request.validate_only()) {
    MR_CO_ASSIGN_OR_RETURN(*response.mutable_run(), co_await CreateNew(std::move(request), "", std::move(left)));
    co_return response;
  }
  const std::string id = request.request_id();
  const NamedMutex::Holder holder = co_await request_ids_.Enter(id);
  // A request may hold 4 MiB of items.
  auto make_digest = [request] { return std::string(RequestDigest(request).bytes()); };
  std::string digest = co_await Compute(deps_.loop, deps_.pool, std::move(make_digest));
  MR_CO_ASSIGN_OR_RETURN(const auto before,
                         co_await GetRecord<storage::v1::RequestRecord>(deps_.store, RequestKey(id)));
  if (!before) {
    MR_CO_ASSIGN_OR_RETURN(*response.mutable_run(),
                           co_await CreateNew(std::move(request), std::move(digest), std::move(left)));
    co_return response;
  }
  if (before->request_digest() != digest) {
    co_return MakeError(Reason::kRequestIdReused,
                        fmt::format("request_id `{}` was used before, with another request", id));
  }
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await runs_.Find(before->run()));
  *response.mutable_run() = std::move(found.run);
  response.set_existed(true);
  co_return response;
}

Task<Status> RunCreator::CheckFields(const v1::CreateRunRequest& request, const PreparedPipeline& prepared,
                                     const std::set<std::string>& client_inputs) {
  if (!options_.checks_definitions) co_return absl::OkStatus();
  const MadeStages& made = prepared.made;
  const FileAccess& files = made.files ? *made.files : deps_.files;
  SourcesSeen sources = co_await SeeFiles(deps_, options_, files, made.work, prepared.definition, client_inputs);
  for (const auto& [stage, items] : request.items()) {
    std::optional<SourceFields> fields = co_await SeeItems(deps_, made.work[made.plan.Find(stage)], items);
    if (fields) sources.emplace(stage, *std::move(fields));
  }
  co_return co_await CheckFieldsRead(deps_, prepared.definition, std::move(sources));
}

Task<StatusOr<v1::Run>> RunCreator::CreateNew(v1::CreateRunRequest request, std::string digest,
                                              std::shared_ptr<StopSignal> left) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  if (const int64_t unrested = runs_.CountUnrested(); unrested >= options_.active_runs_max) {
    const Status status = MakeError(Reason::kTooMany, fmt::format("{} runs have not ended", unrested));
    co_return WithRetryDelay(status, std::chrono::seconds(10));
  }
  std::set<std::string> client_inputs(request.client_inputs().begin(), request.client_inputs().end());
  for (const auto& [stage, items] : request.items()) client_inputs.insert(stage);
  MR_CO_ASSIGN_OR_RETURN(
      PreparedPipeline prepared,
      co_await catalog_.Prepare(request.pipeline(), request.has_definition() ? &request.definition() : nullptr,
                                request.parameters(), client_inputs, std::move(left)));
  MadeStages& made = prepared.made;
  MR_CO_RETURN_IF_ERROR(CheckInputs(request, made));
  if (std::vector<FetchFile> files = FilesRead(made, client_inputs); !files.empty()) {
    const FileAccess& access = made.files ? *made.files : deps_.files;
    auto check = [&access, files = std::move(files)] { return CheckAllowed(access, files); };
    MR_CO_RETURN_IF_ERROR(co_await Compute(deps_.loop, deps_.pool, std::move(check)));
  }
  MR_CO_RETURN_IF_ERROR(co_await CheckFields(request, prepared, client_inputs));

  const int64_t now_micros = deps_.loop.clock().WallMicros();
  storage::v1::RunRecord record;
  v1::Run& run = *record.mutable_run();
  run.set_pipeline(prepared.applied.pipeline().name());
  run.set_pipeline_digest(prepared.applied.digest());
  for (auto& [parameter, value] : prepared.parameters) (*run.mutable_parameters())[parameter] = std::move(value);
  *run.mutable_as_of() = request.has_as_of() ? request.as_of() : ToTimestamp(now_micros);
  run.set_state(v1::RUN_STATE_RUNNING);
  *run.mutable_create_time() = ToTimestamp(now_micros);
  *run.mutable_start_time() = run.create_time();
  run.set_request_id(request.request_id());
  run.set_limit(request.limit());
  run.set_sample(request.sample());
  if (request.has_give_up_after()) *run.mutable_give_up_after() = request.give_up_after();
  for (const std::string& stage : client_inputs) record.add_client_inputs(stage);
  record.set_refresh(request.refresh());
  record.mutable_typed_files()->Assign(prepared.typed_files.begin(), prepared.typed_files.end());
  record.set_working_directory(deps_.files.Directory());

  const std::string name = "r-" + random_.Name(kNameLength);
  WriteBatch batch;
  for (const auto& [stage, items] : request.items()) {
    const StageWork& work = *made.work[made.plan.Find(stage)];
    MR_CO_RETURN_IF_ERROR(PutClosedInput(WorkAs<FetchStage>(work), name, stage, items, batch));
  }
  std::vector<std::string> warnings = co_await catalog_.FindDoubts(prepared.definition);
  for (std::string& warning : warnings) run.add_warnings(std::move(warning));
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
  prepared.definition->SerializeToString(stored.mutable_definition());
  PutRecord(batch, RunKey(name), stored);
  batch.Put(RunOrderKey(now_micros, name), "");
  PutActiveRun(batch, name, 1);
  if (!request.request_id().empty()) {
    storage::v1::RequestRecord request_record;
    request_record.set_run(name);
    request_record.set_request_digest(std::move(digest));
    request_record.set_time_micros(now_micros);
    PutRecord(batch, RequestKey(request.request_id()), request_record);
  }
  MR_CO_RETURN_IF_ERROR(co_await deps_.store.Commit(std::move(batch)));
  // The run is stored: nothing may refuse it from here on.
  v1::Run answer = run;
  MR_CO_RETURN_IF_ERROR((co_await runs_.Add(std::move(record), std::move(made))).status());
  co_return answer;
}

}  // namespace millrace
