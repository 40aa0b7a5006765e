// Commands `runs`, `show`, `watch`, `pause`, `resume`, `redrive`, `cancel` and `delete`.
#include <fmt/format.h>

#include <iostream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/run_hints.h"

namespace millrace::cli {
namespace {

struct RunsArguments {
  std::string run;
  std::string pipeline;
  std::vector<std::string> states;
  int32_t limit = 50;
  int64_t after = 0;
  std::string stage;
  std::string reason;
  std::vector<std::string> items;
};

// Prints the runs that have a JSON, and names the others on standard error: older releases stored times that have none.
int PrintRuns(v1::ListRunsResponse response) {
  int exit = kDone;
  for (int i = response.runs_size() - 1; i >= 0; --i) {
    const std::string fault = JsonFault(response.runs(i));
    if (fault.empty()) continue;
    const std::string name = Safe(response.runs(i).name());
    std::cerr << fmt::format(
        "millrace: run {} can't be printed as JSON and is left out: {}; `millrace delete {}` deletes it\n", name, fault,
        name);
    response.mutable_runs()->DeleteSubrange(i, 1);
    exit = kRunFailed;
  }
  PrintJson(response);
  return exit;
}

int List(Session& session, const RunsArguments& arguments) {
  v1::ListRunsRequest request;
  request.set_pipeline(arguments.pipeline);
  request.set_page_size(arguments.limit);
  for (const std::string& name : arguments.states) {
    const StatusOr<v1::RunState> state = ReadRunState(name);
    if (!state.ok()) return PrintError(state.status());
    request.add_states(*state);
  }
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<v1::ListRunsResponse> response = (*client)->ListRuns(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) return PrintRuns(*response);
  std::vector<std::vector<std::string>> rows = {
      {"RUN", "PIPELINE", "STATE", "CREATED", "SECONDS", "FAILED", "WAITS ON"}};
  for (const v1::Run& run : response->runs()) {
    int64_t failed = 0;
    for (const v1::StageProgress& stage : run.stages()) failed += stage.failed();
    rows.push_back({run.name(), run.pipeline(), StateName(run.state()), Time(run.create_time()),
                    Seconds(run.active_time()), Count(failed), run.has_waiting_on() ? WaitText(run.waiting_on()) : ""});
  }
  std::cout << Table(rows);
  for (const v1::Run& run : response->runs()) std::cerr << InterruptedHint(session, run);
  if (!response->next_page_token().empty()) std::cerr << "more runs exist; show them with --limit N\n";
  return kDone;
}

// Times are summed over items that are processed concurrently, so they may exceed the elapsed time.
void PrintTimes(const v1::Run& run) {
  std::vector<std::vector<std::string>> rows = {
      {"STAGE", "WAITING", "CALLING", "COMPUTING", "STORING", "COALESCED", "MAYBE BILLED"}};
  for (const v1::StageProgress& stage : run.stages()) {
    rows.push_back({stage.stage(), Seconds(stage.waiting_time()), Seconds(stage.calling_time()),
                    Seconds(stage.computing_time()), Seconds(stage.storing_time()), Count(stage.coalesced()),
                    Count(stage.maybe_billed())});
  }
  std::cout << Table(rows);
}

void PrintRun(const v1::Run& run) {
  std::cout << fmt::format(
      "run       {}\npipeline  {} ({})\nstate     {}\ncreated   {}\nended     {}\nworked    {} s\n", Safe(run.name()),
      Safe(run.pipeline()), Safe(run.pipeline_digest(), 12), StateName(run.state()), Time(run.create_time()),
      Time(run.end_time()), Seconds(run.active_time()));
  if (run.has_error()) {
    std::cout << fmt::format("error     {} ({})\n", Safe(run.error().message(), 1024),
                             ReasonName(run.error().reason()));
  }
  if (run.has_give_up_after()) {
    std::cout << fmt::format("gives up  after {} without progress because targets fail\n",
                             LongTime(run.give_up_after()));
  }
  if (run.has_waiting_on()) {
    const v1::WaitingOn& waiting = run.waiting_on();
    const std::string error =
        waiting.error() == v1::ERROR_REASON_UNSPECIFIED ? "" : fmt::format(" ({})", ReasonName(waiting.error()));
    std::cout << fmt::format("waits on  {}{} since {}: {}\n", WaitText(waiting), error, Time(waiting.since()),
                             Safe(waiting.remedy(), 2048));
  }
  std::vector<std::vector<std::string>> rows = {{"STAGE", "KIND", "IN", "OK", "REUSED", "DEGRADED", "FAILED", "SKIPPED",
                                                 "CALLS", "HITS", "ATTEMPTS", "TOKENS IN", "OUT", "COST", "SECONDS"}};
  for (const v1::StageProgress& stage : run.stages()) {
    rows.push_back({stage.stage(), stage.kind(), Count(stage.items_in()), Count(stage.ok()), Count(stage.reused()),
                    Count(stage.degraded()), Count(stage.failed()), Count(stage.skipped()), Count(stage.calls()),
                    Count(stage.cache_hits()), Count(stage.attempts()), Count(stage.input_tokens()),
                    Count(stage.output_tokens()), Cost(stage.cost_nano_usd(), stage.unpriced_attempts()),
                    Seconds(stage.elapsed_time())});
  }
  std::cout << Table(rows) << "seconds, summed over all items:\n";
  PrintTimes(run);
  for (const std::string& warning : run.warnings()) std::cout << fmt::format("warning: {}\n", Safe(warning, 1024));
  for (const v1::MeasureValue& measure : run.measures()) {
    std::cout << fmt::format("{}: {}\n", Safe(measure.name()), measure.has_value() ? Figure(measure.value()) : "-");
  }
}

// Sends a request that names a run and prints the response.
template <typename Request, typename Response>
int Ask(Session& session, const Request& request, StatusOr<Response> (client::Client::*method)(const Request&),
        const std::string& done) {
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const StatusOr<Response> response = ((*client)->*method)(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
  } else if (done.empty()) {
    if constexpr (requires { response->run(); }) PrintRun(response->run());
  } else {
    std::cout << done << "\n";
  }
  return kDone;
}

int64_t LastEvent(client::Client& client, const std::string& run) {
  v1::GetRunRequest request;
  request.set_run(run);
  const StatusOr<v1::GetRunResponse> response = client.GetRun(request);
  return response.ok() ? response->run().last_event() : 0;
}

int Watch(Session& session, const std::string& run, int64_t after) {
  session.calls = true;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  // A server that has never answered is a wrong address and not a restart, so that nothing is worth waiting for.
  v1::GetRunRequest request;
  request.set_run(run);
  const StatusOr<v1::GetRunResponse> response = (*client)->GetRun(request);
  return response.ok() ? FollowRun(session, **client, run, after) : PrintError(response.status());
}

int Resume(Session& session, const std::string& run) {
  session.calls = true;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const int64_t after = LastEvent(**client, run);
  v1::ResumeRunRequest request;
  request.set_run(run);
  session.HoldInterrupts("the run's state");
  const StatusOr<v1::ResumeRunResponse> response = (*client)->ResumeRun(request);
  if (!response.ok()) return PrintError(response.status());
  // If this process holds the store, it must stay: the run would stop with it.
  if (session.holds()) return FollowRun(session, **client, run, after);
  if (session.json()) {
    PrintJson(*response);
  } else {
    std::cout << fmt::format("run {} continues\n", run);
  }
  return kDone;
}

int Redrive(Session& session, const RunsArguments& arguments) {
  session.calls = true;
  v1::RedriveRunRequest request;
  request.set_run(arguments.run);
  request.set_stage(arguments.stage);
  if (!arguments.reason.empty()) {
    const StatusOr<v1::ErrorReason> reason = ReadReason(arguments.reason);
    if (!reason.ok()) return PrintError(reason.status());
    request.set_reason(*reason);
  }
  for (const std::string& item : arguments.items) request.add_item_ids(item);
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  const int64_t after = LastEvent(**client, arguments.run);
  session.HoldInterrupts("the run's state");
  const StatusOr<v1::RedriveRunResponse> response = (*client)->RedriveRun(request);
  if (!response.ok()) return PrintError(response.status());
  std::cerr << fmt::format("{} items of run {} are processed again\n", Count(response->items()), arguments.run);
  // A run that failed as a whole continues even if no item is redriven.
  if (session.holds() && response->run().state() == v1::RUN_STATE_RUNNING)
    return FollowRun(session, **client, arguments.run, after);
  if (session.json()) PrintJson(*response);
  return kDone;
}

}  // namespace

void AddRunsCommands(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<RunsArguments>();
  const auto add = [&](const std::string& name, const std::string& description, const std::string& examples) {
    CLI::App* command = AddCommand(app, name, description, examples);
    command->add_option("RUN", arguments->run, "Name of the run")->required();
    return command;
  };

  CLI::App* runs = AddCommand(app, "runs", "List runs, newest first",
                              "  millrace runs --pipeline news-events --state running --state paused");
  runs->add_option("--pipeline", arguments->pipeline, "Only runs of this pipeline");
  runs->add_option("--state", arguments->states, "Only runs in this state");
  runs->add_option("--limit", arguments->limit, "Largest number of runs")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  runs->callback([&session, &exit, arguments] { exit = List(session, *arguments); });

  add("show", "Show a run with its counts and times", "  millrace show r-…")->callback([&session, &exit, arguments] {
    v1::GetRunRequest request;
    request.set_run(arguments->run);
    exit = Ask(session, request, &client::Client::GetRun, "");
  });

  CLI::App* watch = add("watch", "Follow a run to its end", "  millrace watch r-…\n  millrace watch r-… --after 17");
  watch->add_option("--after", arguments->after, "Only events after this number")->check(WholeNumber(0, kInt64Max));
  watch->callback([&session, &exit, arguments] { exit = Watch(session, arguments->run, arguments->after); });

  add("pause", "Pause a run: start nothing new, but finish calls in flight and keep their answers",
      "  millrace pause r-…")
      ->callback([&session, &exit, arguments] {
        v1::PauseRunRequest request;
        request.set_run(arguments->run);
        exit = Ask(session, request, &client::Client::PauseRun, fmt::format("run {} is paused", arguments->run));
      });

  add("resume", "Resume a paused run; a question that was answered is not asked again", "  millrace resume r-…")
      ->callback([&session, &exit, arguments] { exit = Resume(session, arguments->run); });

  CLI::App* redrive =
      add("redrive", "Process the failed and degraded items of an ended run again",
          "  millrace redrive r-… --stage described --reason SCHEMA\n  millrace redrive r-… --item f-12");
  redrive->add_option("--stage", arguments->stage, "Only items that failed in this stage");
  redrive->add_option("--reason", arguments->reason, "Only items that failed for this reason");
  redrive->add_option("--item", arguments->items, "Only the item with this id");
  redrive->callback([&session, &exit, arguments] { exit = Redrive(session, *arguments); });

  add("cancel", "Cancel a run; answers that were paid for are kept", "  millrace cancel r-…")
      ->callback([&session, &exit, arguments] {
        v1::CancelRunRequest request;
        request.set_run(arguments->run);
        exit = Ask(session, request, &client::Client::CancelRun, fmt::format("run {} is cancelled", arguments->run));
      });

  add("delete", "Delete an ended run; cached answers and memoized results stay", "  millrace delete r-…")
      ->callback([&session, &exit, arguments] {
        v1::DeleteRunRequest request;
        request.set_run(arguments->run);
        exit = Ask(session, request, &client::Client::DeleteRun, fmt::format("run {} is deleted", arguments->run));
      });
}

}  // namespace millrace::cli
