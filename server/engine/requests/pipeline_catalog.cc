#include "server/engine/requests/pipeline_catalog.h"

#include <utility>

#include <fmt/format.h>

#include "server/config/canonical.h"
#include "server/config/check.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

bool IsPipelineName(const std::string& name) {
  if (name.empty() || name.size() > 63 || name.front() == '-') return false;
  for (const char c : name) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') return false;
  }
  return true;
}

}  // namespace

Task<StatusOr<v1::AppliedPipeline>> PipelineCatalog::Find(std::string name) {
  MR_CO_ASSIGN_OR_RETURN(auto record, co_await GetRecord<storage::v1::PipelineRecord>(deps_.store, PipelineKey(name)));
  if (!record) co_return MakeError(Reason::kPipelineNotFound, fmt::format("no pipeline `{}`", Excerpt(name)));
  co_return std::move(*record->mutable_applied());
}

Task<StatusOr<v1::AppliedPipeline>> PipelineCatalog::Resolve(std::string name, const v1::Pipeline* definition) {
  v1::AppliedPipeline applied;
  if (definition != nullptr) {
    *applied.mutable_pipeline() = *definition;
  } else {
    MR_CO_ASSIGN_OR_RETURN(applied, co_await Find(std::move(name)));
  }
  auto shared = std::make_shared<const v1::Pipeline>(applied.pipeline());
  auto check = [this, shared]() -> StatusOr<std::string> {
    if (!IsPipelineName(shared->name())) {
      return MakeFieldError(Reason::kInvalidDefinition, "name: a pipeline needs a name",
                            {{"name", "1 to 63 of a-z, 0-9 and -, not beginning with -"}});
    }
    if (options_.checks_definitions) MR_RETURN_IF_ERROR(CheckPipeline(*shared, deps_.stages));
    return PipelineDigest(*shared);
  };
  MR_CO_ASSIGN_OR_RETURN(std::string digest, co_await Compute(deps_.loop, deps_.pool, std::move(check)));
  applied.set_digest(std::move(digest));
  co_return applied;
}

Task<StatusOr<PreparedPipeline>> PipelineCatalog::Prepare(
    std::string name, const v1::Pipeline* definition, google::protobuf::Map<std::string, v1::ParameterValue> parameters,
    std::set<std::string> client_inputs) {
  PreparedPipeline prepared;
  MR_CO_ASSIGN_OR_RETURN(prepared.applied, co_await Resolve(std::move(name), definition));
  BoundPipeline bound{prepared.applied.pipeline(), ParameterValues(parameters.begin(), parameters.end())};
  if (options_.checks_definitions) {
    MR_CO_ASSIGN_OR_RETURN(bound, BindParameters(prepared.applied.pipeline(), deps_.stages, bound.parameters, client_inputs));
  }
  prepared.parameters = std::move(bound.parameters);
  prepared.definition = std::make_shared<const v1::Pipeline>(std::move(bound.pipeline));
  MR_CO_ASSIGN_OR_RETURN(prepared.made, co_await MakeStages(deps_, prepared.definition));
  co_return prepared;
}

}  // namespace millrace
