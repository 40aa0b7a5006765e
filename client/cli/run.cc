// run: creates a run, sends it the client's own files, and follows it.
#include <fmt/format.h>

#include <fstream>
#include <iostream>

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

// A stage and the file that is its input.
struct Input {
  std::string stage;
  std::string file;
};

StatusOr<std::vector<Input>> ReadInputs(const std::vector<std::string>& given) {
  std::vector<Input> inputs;
  for (const std::string& entry : given) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
                       fmt::format("--input {}: expected STAGE=FILE", Excerpt(entry)));
    }
    inputs.push_back({entry.substr(0, equals), entry.substr(equals + 1)});
    if (!std::ifstream(inputs.back().file, std::ios::binary)) {
      return MakeError(absl::StatusCode::kNotFound, "FILE_ERROR",
                       fmt::format("--input {}: the file can't be read", Excerpt(entry, 256)));
    }
  }
  return inputs;
}

// Sends a file from where the server is: after a repeated request it already has a part.
Status SendInput(client::Client& client, const std::string& run, const Input& input) {
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
  const StatusOr<std::vector<Input>> inputs = ReadInputs(arguments.inputs);
  if (!inputs.ok()) return PrintError(inputs.status());
  for (const Input& input : *inputs) request.add_client_inputs(input.stage);
  request.set_limit(arguments.limit);
  request.set_sample(arguments.sample);
  request.set_request_id(arguments.request_id);
  request.set_refresh(arguments.refresh);

  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::CreateRunResponse> created = (*client)->CreateRun(request);
  if (!created.ok()) {
    const int exit = PrintError(created.status());
    if (ReasonOf(created.status()) == "FILE_NOT_ALLOWED") {
      std::cerr << "  `--input STAGE=FILE` sends a file of yours instead\n";
    }
    return exit;
  }
  const std::string& run = created->run().name();
  std::cerr << fmt::format("run {}{}\n", run, created->existed() ? " (created before by the same request)" : "");
  for (const Input& input : *inputs) {
    const Status status = SendInput(**client, run, input);
    if (!status.ok() && ReasonOf(status) != "WRONG_RUN_STATE") return PrintError(status);
  }
  if (arguments.detach) {
    if (session.json()) PrintJson(*created);
    if (!session.json()) std::cout << run << "\n";
    return kDone;
  }
  return FollowRun(session, **client, run, 0);
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
