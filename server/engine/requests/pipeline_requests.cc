#include "server/engine/requests/pipeline_requests.h"

#include <utility>

#include <fmt/format.h>

#include "server/engine/requests/page_token.h"
#include "server/engine/run/forecast.h"
#include "server/engine/run/source_fields.h"
#include "server/engine/times.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {

Task<StatusOr<v1::ApplyPipelineResponse>> PipelineRequests::ApplyPipeline(RequestContext context,
                                                                          v1::ApplyPipelineRequest request) {
  if (!request.has_pipeline()) {
    co_return MakeFieldError(Reason::kInvalidField, "pipeline: a definition is needed", {{"pipeline", "a definition"}});
  }
  MR_CO_ASSIGN_OR_RETURN(v1::AppliedPipeline applied, co_await catalog_.Resolve("", &request.pipeline(), context.left));
  auto definition = std::make_shared<const v1::Pipeline>(applied.pipeline());
  const std::vector<std::string> warnings = co_await catalog_.FindDoubts(std::move(definition));
  const AsyncMutex::Holder holder = co_await changing_.Enter();
  StatusOr<v1::AppliedPipeline> before = co_await catalog_.Find(applied.pipeline().name());
  if (!before.ok() && before.status().code() != absl::StatusCode::kNotFound) co_return before.status();
  v1::ApplyPipelineResponse response;
  if (before.ok() && before->digest() == applied.digest()) {
    *response.mutable_pipeline() = *std::move(before);
    *response.mutable_warnings() = {warnings.begin(), warnings.end()};
    co_return response;
  }
  applied.set_version(before.ok() ? before->version() + 1 : 1);
  *applied.mutable_apply_time() = ToTimestamp(deps_.loop.clock().WallMicros());
  if (!request.validate_only()) {
    MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
    storage::v1::PipelineRecord record;
    *record.mutable_applied() = applied;
    WriteBatch batch;
    PutRecord(batch, PipelineKey(applied.pipeline().name()), record);
    MR_CO_RETURN_IF_ERROR(co_await deps_.store.Commit(std::move(batch)));
  }
  *response.mutable_pipeline() = std::move(applied);
  response.set_changed(true);
  *response.mutable_warnings() = {warnings.begin(), warnings.end()};
  co_return response;
}

Task<StatusOr<v1::GetPipelineResponse>> PipelineRequests::GetPipeline(RequestContext, v1::GetPipelineRequest request) {
  v1::GetPipelineResponse response;
  MR_CO_ASSIGN_OR_RETURN(*response.mutable_pipeline(), co_await catalog_.Find(request.name()));
  co_return response;
}

Task<StatusOr<v1::ListPipelinesResponse>> PipelineRequests::ListPipelines(RequestContext,
                                                                          v1::ListPipelinesRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const size_t size, PageSize(request.page_size(), 50));
  MR_CO_ASSIGN_OR_RETURN(std::string position, ReadPageToken("pipelines", request.page_token()));
  auto [begin, end] = PipelineKeys();
  if (!position.empty()) begin = std::move(position);
  MR_CO_ASSIGN_OR_RETURN(const ScanPage page,
                         co_await deps_.store.Scan(std::move(begin), std::move(end), size, 16 << 20));
  v1::ListPipelinesResponse response;
  for (const StoreEntry& entry : page.entries) {
    storage::v1::PipelineRecord record;
    MR_CO_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, record));
    record.mutable_applied()->mutable_pipeline()->clear_files();
    *response.add_pipelines() = std::move(*record.mutable_applied());
  }
  if (!page.next.empty()) response.set_next_page_token(MakePageToken("pipelines", page.next));
  co_return response;
}

Task<StatusOr<v1::DeletePipelineResponse>> PipelineRequests::DeletePipeline(RequestContext,
                                                                            v1::DeletePipelineRequest request) {
  const AsyncMutex::Holder holder = co_await changing_.Enter();
  MR_CO_RETURN_IF_ERROR((co_await catalog_.Find(request.name())).status());
  if (const std::optional<std::string> run = runs_.FindOpenRunOf(request.name())) {
    co_return MakeError(Reason::kPipelineInUse,
                        fmt::format("run `{}` of pipeline `{}` has not ended", *run, request.name()));
  }
  WriteBatch batch;
  batch.Delete(PipelineKey(request.name()));
  MR_CO_RETURN_IF_ERROR(co_await deps_.store.Commit(std::move(batch)));
  co_return v1::DeletePipelineResponse();
}

Task<StatusOr<v1::PlanPipelineResponse>> PipelineRequests::PlanPipeline(RequestContext context,
                                                                        v1::PlanPipelineRequest request) {
  if (request.source_case() == v1::PlanPipelineRequest::SOURCE_NOT_SET) {
    co_return MakeFieldError(Reason::kInvalidField, "name: a pipeline's name or a definition is needed",
                             {{"name", "a pipeline's name or a definition is needed"}});
  }
  if (request.limit() < 0) {
    co_return MakeFieldError(Reason::kInvalidField, "limit is negative", {{"limit", "at least 0"}});
  }
  const std::set<std::string> client_inputs;  // a forecast reads the sources that the definition names
  MR_CO_ASSIGN_OR_RETURN(
      PreparedPipeline prepared,
      co_await catalog_.Prepare(request.name(), request.has_pipeline() ? &request.pipeline() : nullptr,
                                request.parameters(), client_inputs, context.left));
  if (options_.checks_definitions) {
    const FileAccess& files = prepared.made.files ? *prepared.made.files : deps_.files;
    SourcesSeen sources =
        co_await SeeFiles(deps_, options_, files, prepared.made.work, prepared.definition, client_inputs);
    MR_CO_RETURN_IF_ERROR(co_await CheckFieldsRead(deps_, prepared.definition, std::move(sources)));
  }
  std::vector<std::string> warnings = co_await catalog_.FindDoubts(prepared.definition);
  storage::v1::RunRecord record;
  record.mutable_run()->set_pipeline(prepared.made.definition->name());
  record.mutable_run()->set_limit(request.limit());
  *record.mutable_run()->mutable_as_of() = ToTimestamp(deps_.loop.clock().WallMicros());
  MR_CO_ASSIGN_OR_RETURN(v1::PlanPipelineResponse response,
                         co_await MakeForecast(deps_, options_, std::move(prepared.made), std::move(record)));
  for (std::string& warning : warnings) response.add_warnings(std::move(warning));
  co_return response;
}

}  // namespace millrace
