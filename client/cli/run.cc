// run: creates a run, sends it the client's own files, and follows it.
#include <fmt/format.h>

#include <fstream>
#include <iostream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"

namespace millrace::cli {
namespace {

constexpr size_t kPartBytes = 512u << 10;

struct RunArguments {
  std::string pipeline;
  std::vector<std::string> parameters;
  std::vector<std::string> inputs;
  int64_t limit = 0;
  int64_t sample = 0;
  std::string request_id;
  bool detach = false;
  bool refresh = false;
};

// Sends a file from where the server is: after a repeated request it already has a part.
Status SendInput(client::Client& client, const std::string& run, const InputFile& input) {
  std::ifstream file(input.file, std::ios::binary);
  v1::AddItemsRequest request;
  request.set_run(run);
  request.set_stage(input.stage);
  while (true) {
    std::string part(kPartBytes, '\0');
    file.clear();
    file.seekg(request.offset());
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    part.resize(static_cast<size_t>(file.gcount()));
    if (part.empty()) break;
    request.set_data(std::move(part));
    const StatusOr<v1::AddItemsResponse> response = client.AddItems(request);
    if (!response.ok()) return response.status();
    request.set_offset(response->next_offset());
  }
  v1::CloseInputRequest close;
  close.set_run(run);
  close.set_stage(input.stage);
  return client.CloseInput(close).status();
}

// Where a run failed since the server may not read its input: how to send it. Empty: it is not so.
std::string InputHint(client::Client& client, const v1::CreateRunRequest& request, const std::string& run) {
  v1::GetRunRequest get_run;
  get_run.set_run(run);
  const StatusOr<v1::GetRunResponse> failed = client.GetRun(get_run);
  if (!failed.ok() || failed->run().error().reason() != v1::ERROR_REASON_FILE_NOT_ALLOWED) return "";
  v1::Pipeline pipeline = request.definition();
  if (!request.has_definition()) {
    v1::GetPipelineRequest get;
    get.set_name(request.pipeline());
    StatusOr<v1::GetPipelineResponse> response = client.GetPipeline(get);
    if (response.ok()) pipeline.Swap(response->mutable_pipeline()->mutable_pipeline());
  }
  return InputAdvice(FilesOfFetches(pipeline, request.parameters()), failed->run().error().stage());
}

int Run(Session& session, const RunArguments& arguments) {
  v1::CreateRunRequest request;
  if (IsFile(arguments.pipeline)) {
    StatusOr<v1::Pipeline> pipeline = LoadPipeline(arguments.pipeline);
    if (!pipeline.ok()) return PrintError(pipeline.status());
    *request.mutable_definition() = *std::move(pipeline);
  } else {
    request.set_pipeline(arguments.pipeline);
  }
  if (Status status = ReadParameters(arguments.parameters, *request.mutable_parameters()); !status.ok()) {
    return PrintError(status);
  }
  const StatusOr<std::vector<InputFile>> inputs = ReadInputs(arguments.inputs);
  if (!inputs.ok()) return PrintError(inputs.status());
  for (const InputFile& input : *inputs) request.add_client_inputs(input.stage);
  request.set_limit(arguments.limit);
  request.set_sample(arguments.sample);
  request.set_request_id(arguments.request_id);
  request.set_refresh(arguments.refresh);

  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::CreateRunResponse> created = (*client)->CreateRun(request);
  if (!created.ok()) return PrintError(created.status());
  const std::string& run = created->run().name();
  std::cerr << fmt::format("run {}{}\n", Safe(run), created->existed() ? " (created before by the same request)" : "");
  for (const InputFile& input : *inputs) {
    const Status status = SendInput(**client, run, input);
    if (!status.ok() && ReasonOf(status) != "WRONG_RUN_STATE") return PrintError(status);
  }
  if (arguments.detach) {
    if (session.json()) PrintJson(*created);
    if (!session.json()) std::cout << Safe(run) << "\n";
    return kDone;
  }
  const int exit = FollowRun(session, **client, run, 0);
  if (exit == kRunFailed) std::cerr << InputHint(**client, request, run);
  return exit;
}

}  // namespace

void AddRunCommand(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* run =
      AddCommand(app, "run", "Run a pipeline and follow it to its end",
                 "  millrace run pipeline.yaml -p input=titles.csv -p output=out.db\n"
                 "  millrace run pipeline.yaml --limit 20\n"
                 "  millrace run news-events --server 127.0.0.1:7400 --input titles=mine.csv --format json");
  run->add_option("PIPELINE", arguments->pipeline, "File (with .yaml or a slash), or applied name")->required();
  run->add_option("-p,--param", arguments->parameters, "Parameter, NAME=VALUE");
  run->add_option("--input", arguments->inputs, "STAGE=FILE: send a file of yours as the input of a fetch");
  CLI::Option* limit = run->add_option("--limit", arguments->limit, "At most so many items of each fetch");
  run->add_option("--sample", arguments->sample, "So many items of each fetch, drawn")->excludes(limit);
  run->add_option("--request-id", arguments->request_id, "Makes a repeated command harmless: the same run is followed");
  run->add_flag("--detach", arguments->detach, "Print the run's name and go");
  run->add_flag("--refresh", arguments->refresh, "Compute everything anew, and remember that");
  run->callback([&session, &exit, arguments] { exit = Run(session, *arguments); });
}

}  // namespace millrace::cli
