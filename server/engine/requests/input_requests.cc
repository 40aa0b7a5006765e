#include "server/engine/requests/input_requests.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "server/storage/inputs.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

Status NamesNoInput() {
  return MakeFieldError(Reason::kInvalidField, "stage: the run has several inputs", {{"stage", "one of them"}});
}

// Returns the fetch that a request names, or the only one that takes a client's input.
StatusOr<int> FindInput(ActiveRun& run, const std::string& stage) {
  int found = -1;
  for (int i = 0; i < run.plan().size(); ++i) {
    const bool matches = stage.empty() ? run.slot(i).input != nullptr : run.plan().stage(i).name == stage;
    if (!matches) continue;
    if (found >= 0) return NamesNoInput();
    found = i;
  }
  if (found < 0) {
    return MakeError(Reason::kStageNotFound, stage.empty() ? "the run takes no input of clients"
                                                           : fmt::format("the run has no stage `{}`", Excerpt(stage)));
  }
  if (run.slot(found).input == nullptr) {
    return MakeError(Reason::kWrongRunState,
                     fmt::format("stage `{}` takes no input of clients in this run", run.plan().stage(found).name));
  }
  return found;
}

}  // namespace

Task<StatusOr<std::shared_ptr<ClientInput>>> InputRequests::FindKept(const FoundRun& run, std::string stage) {
  MR_CO_ASSIGN_OR_RETURN(const Plan plan, runs_.PlanOf(run));
  if (!stage.empty() && plan.Find(stage) < 0) {
    co_return MakeError(Reason::kStageNotFound, fmt::format("the run has no stage `{}`", Excerpt(stage)));
  }
  std::shared_ptr<ClientInput> input;
  for (int i = 0; i < plan.size(); ++i) {
    const std::string& name = plan.stage(i).name;
    if (stage.empty() ? plan.stage(i).shape != StageShape::kFetch : name != stage) continue;
    MR_CO_ASSIGN_OR_RETURN(
        auto record, co_await GetRecord<storage::v1::InputState>(deps_.store, InputStateKey(run.run.name(), name)));
    if (!record) continue;
    if (input) co_return NamesNoInput();
    input = std::make_shared<ClientInput>(deps_.loop, deps_.store, patient_store_, run.run.name(), name,
                                          *std::move(record));
  }
  co_return input;
}

Task<StatusOr<v1::AddItemsResponse>> InputRequests::Add(v1::AddItemsRequest request) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  MR_CO_ASSIGN_OR_RETURN(const FoundRun found, co_await runs_.FindLoaded(request.run(), Runs::IfUnloadable::kFail));
  v1::AddItemsResponse response;
  const std::shared_ptr<ActiveRun> run = found.active;
  if (!run || IsEnded(run->state())) {
    MR_CO_ASSIGN_OR_RETURN(const std::shared_ptr<ClientInput> kept, co_await FindKept(found, request.stage()));
    if (kept == nullptr) co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has ended", request.run()));
    MR_CO_ASSIGN_OR_RETURN(const int64_t next, co_await kept->Append(nullptr, std::move(request)));
    response.set_next_offset(next);
    co_return response;
  }
  MR_CO_ASSIGN_OR_RETURN(const int stage, FindInput(*run, request.stage()));
  const std::shared_ptr<ClientInput> input = run->slot(stage).input;
  MR_CO_ASSIGN_OR_RETURN(const int64_t next,
                         co_await input->Append(&WorkAs<FetchStage>(*run->slot(stage).work), std::move(request)));
  run->WakeSteps();
  response.set_next_offset(next);
  co_return response;
}

Task<StatusOr<v1::CloseInputResponse>> InputRequests::Close(v1::CloseInputRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const FoundRun found, co_await runs_.FindLoaded(request.run(), Runs::IfUnloadable::kFail));
  v1::CloseInputResponse response;
  *response.mutable_run() = found.run;
  std::optional<int64_t> end;
  if (request.has_end_offset()) end = request.end_offset();
  if (!found.active) {  // it has ended: nothing can be added
    if (!end) co_return response;
    MR_CO_ASSIGN_OR_RETURN(const std::shared_ptr<ClientInput> kept, co_await FindKept(found, request.stage()));
    // A run that ended before all was sent has a shorter input, which is not another input.
    const Status same = kept == nullptr ? absl::OkStatus() : kept->CheckEnd(*end);
    if (same.code() == absl::StatusCode::kAlreadyExists) co_return same;
    co_return response;
  }
  const std::shared_ptr<ActiveRun> run = found.active;
  MR_CO_ASSIGN_OR_RETURN(const int stage, FindInput(*run, request.stage()));
  MR_CO_RETURN_IF_ERROR(co_await run->slot(stage).input->Close(end));
  run->WakeSteps();
  *response.mutable_run() = run->Snapshot();
  co_return response;
}

}  // namespace millrace
