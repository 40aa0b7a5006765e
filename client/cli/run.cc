// Command `run`: creates a run, uploads local files to it, and follows it.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <optional>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/input_reader.h"
#include "client/cli/output.h"
#include "client/cli/run_hints.h"
#include "client/cli/upload.h"
#include "server/base/duration.h"
#include "server/config/scalar.h"

namespace millrace::cli {
namespace {

struct RunArguments {
  std::string pipeline;
  std::vector<std::string> parameters;
  std::vector<std::string> inputs;
  int64_t limit = 0;
  int64_t sample = 0;
  std::string request_id;
  std::string give_up_after;
  bool detach = false;
  bool refresh = false;
};

// An opened input and the fetch that takes it.
struct OpenInput {
  std::string stage;
  std::unique_ptr<InputReader> reader;
};

StatusOr<std::vector<OpenInput>> OpenInputs(const std::vector<std::string>& given) {
  MR_ASSIGN_OR_RETURN(const std::vector<InputFile> files, ReadInputs(given));
  std::vector<OpenInput> inputs;
  for (const InputFile& file : files) {
    StatusOr<std::unique_ptr<InputReader>> reader = InputReader::Open(file.file);
    if (!reader.ok()) return WithContext(reader.status(), fmt::format("--input {}", Excerpt(file.stage)));
    inputs.push_back({file.stage, *std::move(reader)});
  }
  return inputs;
}

UploadOptions UploadOptionsOf(const Session& session) {
  UploadOptions options;
  options.stopped = [&session] { return session.interrupted(); };
  options.say = [](const std::string& text) { std::cerr << text << "\n"; };
  options.sleep = [&session](Duration delay) { return session.Sleep(delay); };
  return options;
}

// Reports a failed upload and decides what happens to the run. Only the command that created the run may cancel it:
// another command may still be uploading, or may be repeated with the right file.
int NotSent(Session& session, client::Client& client, const v1::CreateRunResponse& created,
            const std::string& request_id, const std::string& stage, const Status& status,
            const UploadOptions& options) {
  const std::string& run = created.run().name();
  if (!request_id.empty() && ReasonOf(status) == Reason::kRequestIdReused) {
    return PrintError(MakeError(
        Reason::kRequestIdReused,
        fmt::format("--input {}: run {} of --request-id {} was given another file before ({}); it is unchanged; use "
                    "another --request-id for this file",
                    Excerpt(stage), run, Excerpt(request_id, 128), MessageOf(status))));
  }
  const int exit = session.interrupted() ? kInterrupted : PrintError(status);
  if (created.existed()) {
    options.say(fmt::format(
        "run {} was created by an earlier command and is unchanged; to send the rest of its input, repeat this "
        "command; to end it, use `millrace cancel {}{}`",
        Safe(run), Safe(run), session.Flags()));
  } else {
    CancelUnsent(client, run, session.Flags(), options);
  }
  return exit;
}

// Uploads all inputs; returns the exit status if an upload failed.
std::optional<int> SendInputs(Session& session, client::Client& client, const v1::CreateRunResponse& created,
                              const std::string& request_id, const std::vector<OpenInput>& inputs) {
  if (inputs.empty()) return std::nullopt;
  const UploadOptions options = UploadOptionsOf(session);
  session.OnInterrupt([&client] { client.Interrupt(); });
  Status status;
  std::string stage;
  for (const OpenInput& input : inputs) {
    stage = input.stage;
    status = SendInput(client, created.run().name(), stage, *input.reader, options);
    // The run has ended in the meantime; following it shows the reason.
    if (ReasonOf(status) == Reason::kWrongRunState) status = absl::OkStatus();
    if (!status.ok()) break;
  }
  session.OnInterrupt(nullptr);
  if (status.ok()) return std::nullopt;
  client.Reset();
  return NotSent(session, client, created, request_id, stage, status, options);
}

// Returns advice on uploading the input of a fetch whose file the server may not read; empty if the error names none.
std::string InputHint(client::Client& client, const v1::CreateRunRequest& request, const Status& refused) {
  v1::Pipeline pipeline = request.definition();
  if (!request.has_definition()) {
    v1::GetPipelineRequest get;
    get.set_name(request.pipeline());
    StatusOr<v1::GetPipelineResponse> response = client.GetPipeline(get);
    if (response.ok()) pipeline.Swap(response->mutable_pipeline()->mutable_pipeline());
  }
  const std::vector<InputFile> files = FilesOfFetches(pipeline, request);
  const std::string message(MessageOf(refused));
  for (const InputFile& input : files) {
    if (message.find(fmt::format("stage `{}`", input.stage)) != std::string::npos)
      return InputAdvice(files, input.stage);
  }
  return "";
}

int Run(Session& session, const RunArguments& arguments) {
  v1::CreateRunRequest request;
  std::optional<PipelineFile> file;
  if (IsFile(arguments.pipeline)) {
    StatusOr<PipelineFile> loaded = LoadPipeline(arguments.pipeline, session.config);
    if (!loaded.ok()) return PrintError(loaded.status());
    file = *std::move(loaded);
    *request.mutable_definition() = file->pipeline;
  } else {
    request.set_pipeline(arguments.pipeline);
  }
  if (Status status = ReadParameters(arguments.parameters, *request.mutable_parameters()); !status.ok()) {
    return PrintError(status);
  }
  const StatusOr<std::vector<OpenInput>> inputs = OpenInputs(arguments.inputs);
  if (!inputs.ok()) return PrintError(inputs.status());
  for (const OpenInput& input : *inputs) request.add_client_inputs(input.stage);
  request.set_limit(arguments.limit);
  request.set_sample(arguments.sample);
  request.set_request_id(arguments.request_id);
  request.set_refresh(arguments.refresh);
  if (!arguments.give_up_after.empty()) {
    const std::optional<Duration> after = ParseDuration(arguments.give_up_after);
    if (!after) {
      return PrintError(MakeError(
          Reason::kInvalidField,
          fmt::format("--give-up-after {}: expected a duration such as 10m", Excerpt(arguments.give_up_after))));
    }
    *request.mutable_give_up_after() = FromDuration(*after);
  }

  session.calls = true;
  session.detaches = arguments.detach;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  // From here on Ctrl-C must not end the process: the run's name would be lost, and the run would be left as it is, or
  // wait for its input forever.
  session.HoldInterrupts("the run's name");
  const StatusOr<v1::CreateRunResponse> created = (*client)->CreateRun(request);
  if (!created.ok()) {
    const int failed = PrintPipelineError(created.status(), file);
    if (ReasonOf(created.status()) == Reason::kFileNotAllowed && !session.holds()) {
      // Without a server the files are this user's own, and sending them would change nothing.
      std::cerr << InputHint(**client, request, created.status());
    }
    return session.interrupted() ? kInterrupted : failed;
  }
  PrintWarnings(created->run().warnings());
  const std::string& run = created->run().name();
  std::cerr << fmt::format("run {}{}\n", Safe(run), created->existed() ? " (created before by the same request)" : "");
  if (session.holds()) std::cerr << InterruptedHints(session, **client, created->run().pipeline(), run);
  if (const std::optional<int> unsent = SendInputs(session, **client, *created, request.request_id(), *inputs))
    return *unsent;
  if (arguments.detach) {
    if (session.json()) PrintJson(*created);
    if (!session.json()) std::cout << Safe(run) << "\n";
    return kDone;
  }
  return FollowRun(session, **client, run, 0);
}

}  // namespace

void AddRunCommand(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* run = AddCommand(app, "run", "Run a pipeline and follow it to its end",
                             "  millrace run pipeline.yaml -p input=titles.csv -p output=out.db\n"
                             "  millrace run pipeline.yaml --limit 20\n"
                             "  millrace run news-events --server 127.0.0.1:7400 --input titles=mine.csv");
  run->add_option("PIPELINE", arguments->pipeline,
                  "Pipeline file (ends in .yaml or contains a slash), or name of an applied pipeline")
      ->required();
  run->add_option("-p,--param", arguments->parameters, "Set a parameter, NAME=VALUE");
  run->add_option("--input", arguments->inputs,
                  "STAGE=FILE: send a local file, a pipe, or standard input (-) as the input of a fetch");
  CLI::Option* limit = run->add_option("--limit", arguments->limit, "Limit of items per fetch; 0: no limit")
                           ->check(WholeNumber(0, kInt64Max));
  run->add_option("--sample", arguments->sample, "Size of a random sample of each fetch; 0: all items")
      ->check(WholeNumber(0, kSampleMax))
      ->excludes(limit);
  run->add_option("--request-id", arguments->request_id,
                  "Id of the request; the command repeated with this id follows the same run");
  run->add_flag("--detach", arguments->detach,
                "Print the run's name and exit; a server must be there to continue the run");
  run->add_option("--give-up-after", arguments->give_up_after,
                  "Pause the run if it makes no progress for this time because targets fail, such as 10m; by default\n"
                  "a call is retried for 24 hours, then its item fails");
  run->add_flag("--refresh", arguments->refresh, "Compute everything again and memoize the new results");
  run->callback([&session, &exit, arguments] { exit = Run(session, *arguments); });
}

}  // namespace millrace::cli
