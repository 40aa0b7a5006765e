// Pipelines of the engine: checked, kept under their name, listed, forgotten.

#include <utility>

#include <fmt/format.h>

#include "server/config/canonical.h"
#include "server/engine/engine_state.h"
#include "server/engine/requests/page_token.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

bool IsName(const std::string& name) {
  if (name.empty() || name.size() > 63 || name.front() == '-') return false;
  for (const char c : name) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
  }
  return true;
}

Status NoPipeline(const std::string& name) {
  return MakeError(Reason::kPipelineNotFound, fmt::format("no pipeline `{}`", Excerpt(name)));
}

}  // namespace

Task<StatusOr<v1::AppliedPipeline>> Engine::State::FindPipeline(std::string name) {
  auto record = co_await GetRecord<storage::v1::PipelineRecord>(parts.store, PipelineKey(name));
  if (!record.ok()) co_return record.status();
  if (!*record) co_return NoPipeline(name);
  co_return std::move(*(*record)->mutable_applied());
}

Task<StatusOr<v1::AppliedPipeline>> Engine::State::Resolve(std::string name, const v1::Pipeline* definition) {
  v1::AppliedPipeline applied;
  if (definition != nullptr) {
    *applied.mutable_pipeline() = *definition;
  } else {
    StatusOr<v1::AppliedPipeline> found = co_await FindPipeline(std::move(name));
    if (!found.ok()) co_return found.status();
    applied = *std::move(found);
  }
  struct Verdict {
    Status status;
    std::string digest;
  };
  auto shared = std::make_shared<const v1::Pipeline>(applied.pipeline());
  // A definition may hold files of 4 MiB: not on the engine's thread.
  auto judge = [this, shared] {
    Verdict verdict;
    if (!IsName(shared->name())) {
      verdict.status = MakeFieldError(Reason::kInvalidDefinition, "name: a pipeline has a name",
                                      {{"name", "1 to 63 of a-z, 0-9 and -, not beginning with -"}});
    } else if (options.check_pipeline) {
      verdict.status = options.check_pipeline(*shared, parts.stages);
    }
    if (verdict.status.ok()) verdict.digest = PipelineDigest(*shared);
    return verdict;
  };
  Verdict verdict = co_await Compute(parts.loop, parts.pool, std::move(judge));
  if (!verdict.status.ok()) co_return verdict.status;
  applied.set_digest(std::move(verdict.digest));
  co_return applied;
}

Task<StatusOr<v1::ApplyPipelineResponse>> Engine::ApplyPipeline(v1::ApplyPipelineRequest request) {
  State& state = *state_;
  if (!request.has_pipeline()) {
    co_return MakeFieldError(Reason::kInvalidField, "pipeline: a definition is needed", {{"pipeline", "a definition"}});
  }
  StatusOr<v1::AppliedPipeline> checked = co_await state.Resolve("", &request.pipeline());
  if (!checked.ok()) co_return checked.status();
  const AsyncMutex::Holder holder = co_await state.pipelines_turn.Enter();
  const std::string name = checked->pipeline().name();
  StatusOr<v1::AppliedPipeline> before = co_await state.FindPipeline(name);
  if (!before.ok() && before.status().code() != absl::StatusCode::kNotFound) co_return before.status();
  v1::ApplyPipelineResponse response;
  if (before.ok() && before->digest() == checked->digest()) {
    *response.mutable_pipeline() = *std::move(before);
    co_return response;
  }
  v1::AppliedPipeline applied = *std::move(checked);
  applied.set_version(before.ok() ? before->version() + 1 : 1);
  *applied.mutable_apply_time() = ToTimestamp(state.parts.loop.clock().WallMicros());
  if (!request.validate_only()) {
    MR_CO_RETURN_IF_ERROR(state.CheckOpen());
    storage::v1::PipelineRecord record;
    *record.mutable_applied() = applied;
    WriteBatch batch;
    PutRecord(batch, PipelineKey(name), record);
    MR_CO_RETURN_IF_ERROR(co_await state.parts.store.Commit(std::move(batch)));
  }
  *response.mutable_pipeline() = std::move(applied);
  response.set_changed(true);
  co_return response;
}

Task<StatusOr<v1::GetPipelineResponse>> Engine::GetPipeline(v1::GetPipelineRequest request) {
  StatusOr<v1::AppliedPipeline> found = co_await state_->FindPipeline(request.name());
  if (!found.ok()) co_return found.status();
  v1::GetPipelineResponse response;
  *response.mutable_pipeline() = *std::move(found);
  co_return response;
}

Task<StatusOr<v1::ListPipelinesResponse>> Engine::ListPipelines(v1::ListPipelinesRequest request) {
  State& state = *state_;
  StatusOr<size_t> size = PageSize(request.page_size(), 50);
  if (!size.ok()) co_return size.status();
  StatusOr<std::string> position = ReadPageToken("pipelines", request.page_token());
  if (!position.ok()) co_return position.status();
  auto [begin, end] = PipelineKeys();
  if (!position->empty()) begin = *std::move(position);
  auto page = co_await state.parts.store.Scan(std::move(begin), std::move(end), *size, 16 << 20);
  if (!page.ok()) co_return page.status();
  v1::ListPipelinesResponse response;
  for (const StoreEntry& entry : page->entries) {
    storage::v1::PipelineRecord record;
    MR_CO_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, record));
    record.mutable_applied()->mutable_pipeline()->clear_files();
    *response.add_pipelines() = std::move(*record.mutable_applied());
  }
  if (!page->next.empty()) response.set_next_page_token(MakePageToken("pipelines", page->next));
  co_return response;
}

Task<StatusOr<v1::DeletePipelineResponse>> Engine::DeletePipeline(v1::DeletePipelineRequest request) {
  State& state = *state_;
  const AsyncMutex::Holder holder = co_await state.pipelines_turn.Enter();
  StatusOr<v1::AppliedPipeline> found = co_await state.FindPipeline(request.name());
  if (!found.ok()) co_return found.status();
  std::map<std::string, std::string> in_use = state.set_aside;
  for (const auto& [name, run] : state.runs) {
    if (!IsEnded(run->state())) in_use[name] = run->record().run().pipeline();
  }
  for (const auto& [name, pipeline] : in_use) {
    if (pipeline != request.name()) continue;
    co_return MakeError(Reason::kPipelineInUse,
                        fmt::format("run `{}` of pipeline `{}` has not ended", name, request.name()));
  }
  WriteBatch batch;
  batch.Delete(PipelineKey(request.name()));
  MR_CO_RETURN_IF_ERROR(co_await state.parts.store.Commit(std::move(batch)));
  co_return v1::DeletePipelineResponse();
}

}  // namespace millrace
