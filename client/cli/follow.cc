// Follows a run to its end: progress on stderr, result on stdout.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/outage.h"
#include "client/cli/output.h"
#include "client/cli/progress.h"

namespace millrace::cli {
namespace {

// Time in which a server may be restarted, and in which another process may open the store of a data directory.
constexpr std::chrono::minutes kServerPatience(5);
constexpr std::chrono::seconds kSocketPatience(30);

std::string BackendNames(client::Client& client) {
  const StatusOr<v1::ListModelsResponse> models = client.ListModels({});
  if (!models.ok()) return "";
  std::vector<std::string> names;
  for (const v1::ModelInfo& model : models->models()) {
    for (const v1::TargetInfo& target : model.targets()) {
      if (std::find(names.begin(), names.end(), target.backend()) == names.end()) names.push_back(target.backend());
    }
  }
  return names.size() == 1 ? names.front() : "";
}

bool IsPaused(client::Client& client, const std::string& run) {
  v1::GetRunRequest request;
  request.set_run(run);
  const StatusOr<v1::GetRunResponse> response = client.GetRun(request);
  return response.ok() && response->run().state() == v1::RUN_STATE_PAUSED;
}

void ShowEvent(const v1::RunEvent& event, const std::string& run, Progress& progress) {
  if (event.has_progress()) progress.Show(event.progress().run());
  if (event.has_stage_done()) progress.StageDone(event.stage_done().stage());
  if (event.has_warning()) progress.Say("warning: " + Safe(event.warning().message(), 1024));
  if (!event.has_state_changed() || event.state_changed().state() != v1::RUN_STATE_PAUSED) return;
  if (!NeedsPerson(event.state_changed().run())) progress.Say(fmt::format("run {} is paused", run));
}

std::string FailedHint(const Session& session, const std::string& run) {
  return fmt::format("  the items that failed: `millrace items {} --state failed{}`\n", run, session.Flags());
}

// Returns true if nothing works on the run before somebody starts a process with another configuration. No event tells
// of it, because nothing is written for a run that this process can't load.
bool WaitsForConfig(client::Client& client, const std::string& run, Outage& outage) {
  v1::GetRunRequest request;
  request.set_run(run);
  const StatusOr<v1::GetRunResponse> response = client.GetRun(request);
  if (response.ok()) outage.End();
  return response.ok() && response->run().state() == v1::RUN_STATE_RUNNING &&
         response->run().waiting_on().reason() == v1::WaitingOn::REASON_CONFIG;
}

// Pauses before the next try, or until the server can be reached. Returns false if the command is interrupted.
bool PauseFor(const Session& session, client::Client& client, Duration pause) {
  constexpr Duration kStep = std::chrono::milliseconds(100);
  // It is there, and shuts down or starts.
  if (client.AwaitConnection(Duration(0))) return session.Sleep(pause);
  for (; pause > Duration(0) && !session.interrupted(); pause -= kStep) {
    if (client.AwaitConnection(std::min(pause, kStep))) break;
  }
  return !session.interrupted();
}

int PrintLost(const Session& session, const std::string& run, const Status& status) {
  const int exit = PrintError(status);
  if (IsOutage(status)) {
    std::cerr << fmt::format("run {} continues when its server does; follow it with `millrace watch {}{}`\n", run, run,
                             session.Flags());
  }
  return exit;
}

int Conclude(Session& session, client::Client& client, const std::string& name, Outage& outage) {
  v1::GetRunRequest request;
  request.set_run(name);
  StatusOr<v1::GetRunResponse> response = client.GetRun(request);
  while (!response.ok() && outage.Wait(response.status())) response = client.GetRun(request);
  if (!response.ok()) return PrintLost(session, name, response.status());
  const v1::Run& run = response->run();
  if (session.json()) PrintJson(*response);
  int64_t failed = 0;
  for (const v1::StageProgress& stage : run.stages()) failed += stage.failed();
  std::ostream& out = session.json() ? std::cerr : std::cout;
  for (const std::string& warning : run.warnings()) out << "  warning: " << Safe(warning, 1024) << "\n";
  switch (run.state()) {
    case v1::RUN_STATE_SUCCEEDED:
      out << LastLine(run, BackendNames(client)) << "\n" << MeasuresText(run);
      if (failed > 0) std::cerr << FailedHint(session, name);
      return failed > 0 ? kSomeFailed : kDone;
    case v1::RUN_STATE_FAILED:
      out << fmt::format("run {} failed: {} ({}{})\n", name, Safe(run.error().message(), 1024),
                         run.error().stage().empty() ? "" : fmt::format("stage {}, ", Safe(run.error().stage())),
                         ReasonName(run.error().reason()));
      if (failed > 0) std::cerr << FailedHint(session, name);
      return kRunFailed;
    case v1::RUN_STATE_CANCELLED:
      out << fmt::format("run {} was cancelled\n", name);
      return kRunFailed;
    default:
      if (run.state() == v1::RUN_STATE_RUNNING && NeedsPerson(run)) {
        std::cerr << fmt::format("run {} waits: {}\n", name, Safe(run.waiting_on().remedy(), 2048));
        return kNeedsPerson;
      }
      if (NeedsPerson(run)) {
        std::cerr << fmt::format("run {} is paused: {}: `millrace resume {}{}`\n", name,
                                 Safe(run.waiting_on().remedy(), 2048), name, session.Flags());
        return kNeedsPerson;
      }
      out << fmt::format("run {} is {}: {}\n", name, StateName(run.state()), Safe(run.waiting_on().remedy(), 1024));
      return kRunFailed;
  }
}

}  // namespace

int FollowRun(Session& session, client::Client& client, const std::string& run, int64_t after) {
  const SystemClock clock;
  Progress progress(std::cerr, ::isatty(STDERR_FILENO) == 1 ? Progress::Kind::kTerminal : Progress::Kind::kLog, clock);
  v1::WatchRunRequest request;
  request.set_run(run);
  request.set_after(after);
  session.OnInterrupt([&client] { client.Interrupt(); });
  Outage outage({.patience = session.server.empty() || session.local ? kSocketPatience : kServerPatience,
                 .sleep = [&](Duration pause) { return PauseFor(session, client, pause); },
                 .say = [&progress](const std::string& text) { progress.Say(text); }});
  Status status;
  bool ends = false;
  // A server that is restarted continues the run and numbers its events on, so that none is shown twice or missed.
  const auto goes_on = [&] { return status.ok() || (!session.holds() && outage.Wait(status)); };
  while (!ends && !session.interrupted() && goes_on()) {
    status = absl::OkStatus();
    if (WaitsForConfig(client, run, outage)) break;
    bool needs_person = false;
    status = client.WatchRun(request, [&](const v1::RunEvent& event) {
      outage.End();
      request.set_after(event.number());
      ShowEvent(event, run, progress);
      needs_person = event.has_state_changed() && NeedsPerson(event.state_changed().run());
      return !needs_person;
    });
    // An event of the past may tell of a pause that is over.
    ends = status.ok() && (!needs_person || IsPaused(client, run));
  }
  progress.Clear();
  session.OnInterrupt(nullptr);
  if (session.interrupted()) {
    client.Reset();
    if (session.holds()) {
      v1::PauseRunRequest pause;
      pause.set_run(run);
      const StatusOr<v1::PauseRunResponse> response = client.PauseRun(pause);
      std::cerr << fmt::format("interrupted: run {} {}; continue it with `millrace resume {}{}`\n", run,
                               response.ok() ? "is paused" : "stops here", run, session.Flags());
    } else {
      std::cerr << fmt::format("interrupted: run {} continues; follow it with `millrace watch {}{}`\n", run, run,
                               session.Flags());
    }
    return kInterrupted;
  }
  if (!status.ok()) return PrintLost(session, run, status);
  return Conclude(session, client, run, outage);
}

}  // namespace millrace::cli
