// Commands `validate`, `schema`, `plan`, `apply` and `pipelines`.
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <iostream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/kinds.h"
#include "client/cli/output.h"
#include "server/config/binding.h"
#include "server/config/check.h"
#include "server/config/field_path.h"
#include "server/config/place.h"
#include "server/config/rules.h"
#include "server/config/schema.h"
#include "server/process/coordinator.h"
#include "server/text/nearest.h"

namespace millrace::cli {
namespace {

// Returns INVALID_DEFINITION with the models that the configuration does not have, each by the field that names it.
Status CheckModels(const v1::Pipeline& pipeline, const v1::ServerConfig& config, const std::string& config_path) {
  std::vector<std::string> names;
  for (const v1::ModelConfig& model : config.models()) names.push_back(model.name());
  const StageRegistry kinds = BuiltinStages();
  const v1::Pipeline bound = Bindings(pipeline).BindDefaults();
  std::vector<FieldViolation> unknown;
  for (int i = 0; i < bound.stages_size(); ++i) {
    const v1::Stage& stage = bound.stages(i);
    const std::string root = PathOfElement("stages", static_cast<size_t>(i));
    for (const std::string& model : kinds.ModelsOf(stage)) {
      if (model.empty() || std::find(names.begin(), names.end(), model) != names.end()) continue;
      std::string field;  // the first one of the kind's message that has the name
      VisitStrings(stage, root, [&](const auto& described, const std::string& at, const std::string& value) {
        if (field.empty() && value == model && described.containing_type() != v1::Stage::descriptor()) field = at;
      });
      unknown.push_back(
          {field.empty() ? root : field, fmt::format("{} configures no model \"{}\"{}", Excerpt(config_path, 256),
                                                     Excerpt(model), DidYouMean(model, names))});
    }
  }
  if (unknown.empty()) return absl::OkStatus();
  return MakeFieldError(Reason::kInvalidDefinition, unknown.front().description, unknown);
}

int Validate(const std::string& path, const std::string& given_config, bool json) {
  const StatusOr<PipelineFile> file = LoadPipeline(path);
  if (!file.ok()) return PrintError(file.status());
  const v1::Pipeline& pipeline = file->pipeline;
  const std::string config_path = client::ConfigPath(given_config);
  std::string models = "; its models were not checked, because neither millrace.yaml nor --config is there";
  if (!config_path.empty()) {
    const StatusOr<v1::ServerConfig> config = LoadServerConfig(config_path);
    if (!config.ok()) return PrintError(config.status());
    const Status known = CheckModels(pipeline, *config, config_path);
    if (!known.ok()) return PrintPipelineError(known, *file);
    models = fmt::format("; {} has its models", Safe(config_path, 1024));
  }
  for (const FieldViolation& doubt : PipelineDoubts(pipeline, BuiltinStages())) {
    const Place place = PlaceOf(file->places, doubt.field);
    std::cerr << fmt::format("warning: {}:{}:{}: {}: {}\n", Safe(path, 1024), place.line, place.column,
                             Safe(doubt.field), Safe(doubt.description, 1024));
  }
  if (json) {
    PrintJson(pipeline);
  } else {
    std::cout << fmt::format("{}: pipeline {} with {} stages is valid{}\n", Safe(path, 1024), pipeline.name(),
                             pipeline.stages_size(), models);
  }
  return kDone;
}

std::string OrUnknown(bool known, int64_t number) { return known ? Count(number) : "?"; }

int Plan(Session& session, const std::string& pipeline, const std::vector<std::string>& parameters, int64_t limit) {
  v1::PlanPipelineRequest request;
  std::optional<PipelineFile> file;
  if (IsFile(pipeline)) {
    StatusOr<PipelineFile> loaded = LoadPipeline(pipeline, session.config);
    if (!loaded.ok()) return PrintError(loaded.status());
    file = *std::move(loaded);
    *request.mutable_pipeline() = file->pipeline;
  } else {
    request.set_name(pipeline);
  }
  request.set_limit(limit);
  if (Status status = ReadParameters(parameters, *request.mutable_parameters()); !status.ok())
    return PrintError(status);
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::PlanPipelineResponse> response = (*client)->PlanPipeline(request);
  if (!response.ok()) return PrintPipelineError(response.status(), file);
  PrintWarnings(response->warnings());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"STAGE", "KIND", "ITEMS", "MEMOIZED", "CALLS", "CACHE HITS", "BYTES",
                                                 "MEMORY", "TOKENS IN", "TOKENS OUT", "COST", "NOTE"}};
  for (const v1::StagePlan& stage : response->stages()) {
    const bool calls = ShapeOfKind(stage.kind()) == StageShape::kCalling;
    rows.push_back({stage.stage(), stage.kind(), OrUnknown(stage.has_items(), stage.items()), Count(stage.remembered()),
                    calls ? OrUnknown(stage.has_calls(), stage.calls()) : "-", calls ? Count(stage.cache_hits()) : "-",
                    Count(stage.bytes()), stage.memory_bytes() > 0 ? "<= " + Count(stage.memory_bytes()) : "-",
                    calls ? "<= " + Count(stage.estimated_input_tokens()) : "-",
                    calls ? "<= " + Count(stage.max_output_tokens()) : "-",
                    !calls             ? "-"
                    : stage.unpriced() ? "unpriced"
                                       : "$0.00",
                    Safe(stage.reason())});
  }
  std::cout << Table(rows);
  return kDone;
}

int Apply(Session& session, const std::string& path) {
  v1::ApplyPipelineRequest request;
  const StatusOr<PipelineFile> file = LoadPipeline(path, session.config);
  if (!file.ok()) return PrintError(file.status());
  *request.mutable_pipeline() = file->pipeline;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::ApplyPipelineResponse> response = (*client)->ApplyPipeline(request);
  if (!response.ok()) return PrintPipelineError(response.status(), *file);
  PrintWarnings(response->warnings());
  if (session.json()) {
    PrintJson(*response);
  } else {
    std::cout << fmt::format("pipeline {} version {}: {}\n", Safe(response->pipeline().pipeline().name()),
                             response->pipeline().version(), response->changed() ? "applied" : "unchanged");
  }
  return kDone;
}

int List(Session& session) {
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  std::vector<std::vector<std::string>> rows = {{"NAME", "VERSION", "APPLIED", "STAGES", "DIGEST"}};
  v1::ListPipelinesRequest request;
  do {
    const StatusOr<v1::ListPipelinesResponse> response = (*client)->ListPipelines(request);
    if (!response.ok()) return PrintError(response.status());
    if (session.json()) PrintJson(*response);
    for (const v1::AppliedPipeline& applied : response->pipelines()) {
      rows.push_back({applied.pipeline().name(), Count(applied.version()), Time(applied.apply_time()),
                      Count(applied.pipeline().stages_size()), applied.digest().substr(0, 12)});
    }
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty() && std::cout.good());
  if (!session.json()) std::cout << Table(rows);
  return kDone;
}

}  // namespace

void AddPipelineCommands(CLI::App& app, Session& session, int& exit) {
  struct Arguments {
    std::string pipeline;
    std::vector<std::string> parameters;
    int64_t limit = 0;
    bool server_config = false;
  };
  const auto arguments = std::make_shared<Arguments>();

  CLI::App* validate =
      AddCommand(app, "validate",
                 "Check a pipeline file and report all errors; needs no server. Its models are looked up in "
                 "--config or millrace.yaml, if there is one",
                 "  millrace validate pipeline.yaml\n"
                 "  millrace validate pipeline.yaml --config server.yaml");
  validate->add_option("FILE", arguments->pipeline, "Pipeline file")->required();
  validate->callback(
      [&session, &exit, arguments] { exit = Validate(arguments->pipeline, session.config, session.json()); });

  CLI::App* schema = AddCommand(app, "schema", "Print the JSON Schema of pipelines, for editors",
                                "  millrace schema > pipeline.schema.json\n  millrace schema --server-config");
  schema->add_flag("--server-config", arguments->server_config,
                   "Print the schema of the server's configuration instead");
  schema->callback([&exit, arguments] {
    std::cout << (arguments->server_config ? ServerConfigSchema() : PipelineSchema()) << "\n";
    exit = kDone;
  });

  CLI::App* plan = AddCommand(
      app, "plan", "Predict the items, memoized results and calls of a run without running it",
      "  millrace plan pipeline.yaml -p input=titles.csv\n  millrace plan news-events -p input=titles.csv --limit 100");
  plan->add_option("PIPELINE", arguments->pipeline,
                   "Pipeline file (ends in .yaml or contains a slash), or name of an applied pipeline")
      ->required();
  plan->add_option("-p,--param", arguments->parameters, "Set a parameter, NAME=VALUE");
  plan->add_option("--limit", arguments->limit, "Limit of items per fetch; 0: no limit")
      ->check(WholeNumber(0, kInt64Max));
  plan->callback([&session, &exit, arguments] {
    exit = Plan(session, arguments->pipeline, arguments->parameters, arguments->limit);
  });

  CLI::App* apply = AddCommand(app, "apply", "Store a pipeline under its name", "  millrace apply pipeline.yaml");
  apply->add_option("FILE", arguments->pipeline, "Pipeline file")->required();
  apply->callback([&session, &exit, arguments] { exit = Apply(session, arguments->pipeline); });

  CLI::App* pipelines = AddCommand(app, "pipelines", "List the applied pipelines", "  millrace pipelines");
  pipelines->callback([&session, &exit] { exit = List(session); });
}

}  // namespace millrace::cli
