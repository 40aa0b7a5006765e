// The progress of a run, live on a terminal and as lines in a log, and the line that ends it.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/output.h"

namespace millrace::cli {
namespace {

// Between two lines of progress in a log.
constexpr std::chrono::seconds kLogInterval(5);

int64_t Ended(const v1::StageProgress& stage) {
  return stage.ok() + stage.degraded() + stage.failed() + stage.skipped();
}

std::string StageLine(const v1::StageProgress& stage) {
  std::string line = fmt::format("{}: {}", stage.stage(), Count(Ended(stage)));
  if (stage.kind() != "fetch" && stage.kind() != "cluster" && stage.kind() != "merge") {
    line += fmt::format(" of {}{}", Count(stage.items_in()), stage.input_closed() ? "" : "+");
  }
  if (stage.reused() > 0) line += fmt::format(", {} remembered", Count(stage.reused()));
  if (stage.failed() > 0) line += fmt::format(", {} failed", Count(stage.failed()));
  if (stage.degraded() > 0) line += fmt::format(", {} degraded", Count(stage.degraded()));
  if (stage.skipped() > 0) line += fmt::format(", {} skipped", Count(stage.skipped()));
  if (stage.parked() > 0) line += fmt::format(", {} parked", Count(stage.parked()));
  if (stage.attempts() > 0) line += fmt::format(", {} attempts", Count(stage.attempts()));
  return line;
}

// Draws a run on stderr.
class Progress {
 public:
  Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

  void Show(const v1::Run& run) {
    if (terminal_) {
      Redraw(run);
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kLogInterval) return;
    last_ = now;
    std::string line = fmt::format("{} {}:", run.name(), StateName(run.state()));
    for (const v1::StageProgress& stage : run.stages()) {
      if (stage.items_in() > 0 && !stage.done()) line += fmt::format(" [{}]", StageLine(stage));
    }
    std::cerr << line << WaitingText(run) << "\n";
  }

  void StageDone(const v1::StageProgress& stage) {
    if (!terminal_) {
      std::cerr << fmt::format("  {} ({} s)\n", StageLine(stage), Seconds(stage.elapsed_time()));
    }
  }

  void Say(const std::string& text) {
    Clear();
    std::cerr << text << "\n";
  }

  // Takes the drawing away.
  void Clear() {
    for (; lines_ > 0; --lines_) std::cerr << "\x1b[1A\x1b[2K";
  }

 private:
  static std::string WaitingText(const v1::Run& run) {
    if (!run.has_waiting_on()) return "";
    const v1::WaitingOn& waiting = run.waiting_on();
    return fmt::format(" waits on {} {}: {}", v1::WaitingOn::Reason_Name(waiting.reason()).substr(7),
                       Safe(waiting.object()), Safe(waiting.remedy()));
  }

  void Redraw(const v1::Run& run) {
    Clear();
    for (const v1::StageProgress& stage : run.stages()) {
      std::cerr << fmt::format("  {} {}\n", stage.done() ? "+" : stage.items_in() > 0 ? ">" : " ", StageLine(stage));
      ++lines_;
    }
    if (const std::string waiting = WaitingText(run); !waiting.empty()) {
      std::cerr << " " << waiting << "\n";
      ++lines_;
    }
  }

  const bool terminal_;
  int lines_ = 0;
  std::chrono::steady_clock::time_point last_{};
};

// "212 families of 7,483 titles": the items that went into the store, named by the stage that made them.
std::string WhatWasMade(const v1::Run& run) {
  const v1::StageProgress* last = nullptr;
  const v1::StageProgress* maker = nullptr;
  for (const v1::StageProgress& stage : run.stages()) {
    if (stage.kind() == "store") continue;
    last = &stage;
    if (stage.kind() == "cluster") maker = &stage;
  }
  if (last == nullptr || run.stages_size() == 0) return "nothing";
  const v1::StageProgress& first = run.stages(0);
  const int64_t made = last->ok() + last->degraded();
  if (last == &first) return fmt::format("{} {}", Count(made), first.stage());
  return fmt::format("{} {} of {} {}", Count(made), maker != nullptr ? maker->stage() : last->stage(),
                     Count(first.items_in()), first.stage());
}

std::string LastLine(const v1::Run& run, const std::string& backends) {
  int64_t calls = 0;
  int64_t remembered = 0;
  int64_t degraded = 0;
  int64_t failed = 0;
  int64_t computed = 0;
  int64_t cost = 0;
  int64_t unpriced = 0;
  int64_t maybe_billed = 0;
  std::string times;
  for (const v1::StageProgress& stage : run.stages()) {
    calls += stage.calls() - stage.cache_hits();
    remembered += stage.cache_hits();
    degraded += stage.degraded();
    failed += stage.failed();
    if (stage.kind() != "fetch" && stage.kind() != "store") computed += stage.computed();
    cost += stage.cost_nano_usd();
    unpriced += stage.unpriced_attempts();
    maybe_billed += stage.maybe_billed();
    times += fmt::format("{}{} {}", times.empty() ? "" : ", ", stage.stage(), Seconds(stage.elapsed_time()));
  }
  std::string line = fmt::format("run {} done: {} in {} s ({}), {} calls{}, {}, {} degraded", run.name(),
                                 WhatWasMade(run), Seconds(run.active_time()), times, Count(calls),
                                 calls > 0 && !backends.empty() ? fmt::format(" ({})", backends) : "",
                                 Cost(cost, unpriced), Count(degraded));
  if (failed > 0) line += fmt::format(", {} failed", Count(failed));
  if (remembered > 0) line += fmt::format(", {} answers remembered", Count(remembered));
  if (maybe_billed > 0) line += fmt::format(", {} maybe billed", Count(maybe_billed));
  if (computed == 0 && calls == 0) line += "; nothing was computed: every result was remembered";
  return line;
}

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

bool HasEnded(v1::RunState state) { return state >= v1::RUN_STATE_SUCCEEDED; }

int Conclude(Session& session, client::Client& client, const std::string& name) {
  v1::GetRunRequest request;
  request.set_run(name);
  const StatusOr<v1::GetRunResponse> response = client.GetRun(request);
  if (!response.ok()) return PrintError(response.status());
  const v1::Run& run = response->run();
  if (session.json()) PrintJson(*response);
  int64_t failed = 0;
  for (const v1::StageProgress& stage : run.stages()) failed += stage.failed();
  std::ostream& out = session.json() ? std::cerr : std::cout;
  for (const v1::MeasureValue& measure : run.measures()) {
    out << fmt::format("  {}: {}\n", measure.name(),
                       measure.has_value() ? fmt::format("{:.4g}", measure.value()) : "-");
  }
  for (const std::string& warning : run.warnings()) out << "  warning: " << Safe(warning, 1024) << "\n";
  switch (run.state()) {
    case v1::RUN_STATE_SUCCEEDED:
      out << LastLine(run, BackendNames(client)) << "\n";
      return failed > 0 ? kSomeFailed : kDone;
    case v1::RUN_STATE_FAILED:
      out << fmt::format("run {} failed: {} ({}{})\n", name, Safe(run.error().message(), 1024),
                         run.error().stage().empty() ? "" : fmt::format("stage {}, ", run.error().stage()),
                         ReasonName(run.error().reason()));
      return kRunFailed;
    case v1::RUN_STATE_CANCELLED:
      out << fmt::format("run {} was cancelled\n", name);
      return kRunFailed;
    default:
      out << fmt::format("run {} is {}: {}\n", name, StateName(run.state()), Safe(run.waiting_on().remedy(), 1024));
      return kRunFailed;
  }
}

}  // namespace

int FollowRun(Session& session, client::Client& client, const std::string& run, int64_t after) {
  Progress progress;
  v1::WatchRunRequest request;
  request.set_run(run);
  request.set_after(after);
  bool ended = false;
  bool paused = false;
  session.OnInterrupt([&client] { client.Interrupt(); });
  const Status status = client.WatchRun(request, [&](const v1::RunEvent& event) {
    if (event.has_progress()) progress.Show(event.progress().run());
    if (event.has_stage_done()) progress.StageDone(event.stage_done().stage());
    if (event.has_warning()) progress.Say("warning: " + Safe(event.warning().message(), 1024));
    if (event.has_state_changed()) {
      // A redriven run has ended before: only its last end counts, and the stream ends there.
      ended = HasEnded(event.state_changed().state());
      paused = event.state_changed().state() == v1::RUN_STATE_PAUSED;
      if (paused) progress.Say(fmt::format("run {} is paused", run));
    }
    return true;
  });
  progress.Clear();
  session.OnInterrupt(nullptr);
  if (session.interrupted()) {
    client.Reset();
    if (session.holds()) {
      v1::PauseRunRequest pause;
      pause.set_run(run);
      const StatusOr<v1::PauseRunResponse> response = client.PauseRun(pause);
      std::cerr << fmt::format("interrupted: run {} {}; `millrace resume {}{}` goes on with it\n", run,
                               response.ok() ? "is paused" : "stops here", run, session.Flags());
    } else {
      std::cerr << fmt::format("interrupted: run {} goes on; `millrace watch {}{}` shows it\n", run, run,
                               session.Flags());
    }
    return kInterrupted;
  }
  if (!status.ok()) return PrintError(status);
  return Conclude(session, client, run);
}

}  // namespace millrace::cli
