#include "server/engine/requests/pipeline_catalog.h"

#include <utility>

#include <fmt/format.h>

#include "server/config/canonical.h"
#include "server/config/check.h"
#include "server/stages/stop_flag.h"
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

Task<StatusOr<v1::AppliedPipeline>> PipelineCatalog::Resolve(std::string name, const v1::Pipeline* definition,
                                                             std::shared_ptr<StopSignal> left) {
  v1::AppliedPipeline applied;
  if (definition != nullptr) {
    *applied.mutable_pipeline() = *definition;
  } else {
    MR_CO_ASSIGN_OR_RETURN(applied, co_await Find(std::move(name)));
  }
  auto shared = std::make_shared<const v1::Pipeline>(applied.pipeline());
  const StopFlag stop(std::move(left));
  auto check = [this, shared, flag = stop.Share()]() -> StatusOr<std::string> {
    // The check reports a wrong name with all that is wrong beside it.
    if (!options_.checks_definitions && !IsPipelineName(shared->name())) {
      return MakeFieldError(Reason::kInvalidDefinition, "name: a pipeline needs a name",
                            {{"name", "1 to 63 of a-z, 0-9 and -, not beginning with -"}});
    }
    if (options_.checks_definitions) {
      const WorkMeter meter(DefinitionLimits(), flag.get());
      const Status checked = CheckPipeline(*shared, deps_.stages);
      MR_RETURN_IF_ERROR(meter.status());
      MR_RETURN_IF_ERROR(checked);
    }
    return PipelineDigest(*shared);
  };
  MR_CO_ASSIGN_OR_RETURN(std::string digest, co_await Compute(deps_.loop, deps_.checks(), std::move(check)));
  applied.set_digest(std::move(digest));
  co_return applied;
}

Task<std::vector<std::string>> PipelineCatalog::FindDoubts(std::shared_ptr<const v1::Pipeline> definition) {
  if (!options_.checks_definitions) co_return std::vector<std::string>();
  auto find = [this, definition] {
    std::vector<std::string> warnings;
    for (const FieldViolation& doubt : PipelineDoubts(*definition, deps_.stages)) {
      warnings.push_back(fmt::format("{}: {}", doubt.field, doubt.description));
    }
    return warnings;
  };
  co_return co_await Compute(deps_.loop, deps_.checks(), std::move(find));
}

Task<StatusOr<PreparedPipeline>> PipelineCatalog::Prepare(
    std::string name, const v1::Pipeline* definition, google::protobuf::Map<std::string, v1::ParameterValue> parameters,
    std::set<std::string> client_inputs, std::shared_ptr<StopSignal> left) {
  PreparedPipeline prepared;
  MR_CO_ASSIGN_OR_RETURN(prepared.applied, co_await Resolve(std::move(name), definition, left));
  auto given = std::make_shared<ParameterValues>(parameters.begin(), parameters.end());
  auto shared = std::make_shared<const v1::Pipeline>(prepared.applied.pipeline());
  const StopFlag stop(left);
  // The patterns of parameters are compiled: not on the engine thread.
  auto bind = [this, shared, given, client_inputs = std::move(client_inputs),
               flag = stop.Share()]() -> StatusOr<BoundPipeline> {
    if (!options_.checks_definitions) return BoundPipeline{*shared, *given};
    const WorkMeter meter(DefinitionLimits(), flag.get());
    StatusOr<BoundPipeline> bound = BindParameters(*shared, deps_.stages, *given, client_inputs);
    MR_RETURN_IF_ERROR(meter.status());
    return bound;
  };
  MR_CO_ASSIGN_OR_RETURN(BoundPipeline bound, co_await Compute(deps_.loop, deps_.checks(), std::move(bind)));
  prepared.parameters = std::move(bound.parameters);
  prepared.definition = std::make_shared<const v1::Pipeline>(std::move(bound.pipeline));
  if (options_.parameters_name_files) {
    for (const auto& [parameter, value] : parameters) {
      if (!value.string().empty()) prepared.typed_files.insert(value.string());
    }
  }
  RunFiles files{.directory = "", .typed = prepared.typed_files};
  MR_CO_ASSIGN_OR_RETURN(prepared.made, co_await MakeStages(deps_, prepared.definition, std::move(files),
                                                            DefinitionLimits(), std::move(left)));
  co_return prepared;
}

}  // namespace millrace
