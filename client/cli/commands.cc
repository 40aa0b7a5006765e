#include "client/cli/commands.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <thread>

#include "client/cli/definition_files.h"
#include "client/cli/output.h"
#include "server/base/end_signals.h"
#include "server/base/text_file.h"
#include "server/config/pipeline_file.h"
#include "server/stages/registry.h"

namespace millrace::cli {
namespace {

constexpr size_t kDefinitionMibMax = 4;
constexpr std::chrono::seconds kDrainPatience(20);

std::mutex interrupt_mutex;
std::function<void()> on_interrupt;  // guarded by interrupt_mutex
std::atomic<bool> was_interrupted{false};

// Time for a server that was just started to begin listening.
constexpr std::chrono::seconds kListensWithin(1);

constexpr std::chrono::seconds kRecoversWithin(30);

// Time in which further signals belong to the first interrupt.
constexpr std::chrono::milliseconds kSameInterrupt(500);

void EndAtOnce() {
  constexpr std::string_view kWord = "interrupted again: ended at once\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kWord.data(), kWord.size());
  ::_exit(kInterrupted);
}

// Waits while a server is recovering its runs; returns the status of the last GetStatus.
Status AwaitRecovery(client::Client& client) {
  const auto patience = std::chrono::steady_clock::now() + kRecoversWithin;
  while (true) {
    const Status status = client.GetStatus({}).status();
    if (ReasonOf(status) != Reason::kStoreUnavailable || std::chrono::steady_clock::now() >= patience) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// Connects to the server at `target`. If it goes away during the connection, dials once more, because its successor may
// listen already. Later errors are left to the command's own call.
std::unique_ptr<client::Client> Reach(const std::string& target) {
  const auto patience = std::chrono::steady_clock::now() + kListensWithin;
  std::unique_ptr<client::Client> client = client::Client::Dial(target, kListensWithin);
  const Status status = AwaitRecovery(*client);
  const bool has_gone = !HasReason(status) && (status.code() == absl::StatusCode::kUnavailable ||
                                               status.code() == absl::StatusCode::kInternal);
  if (!has_gone || std::chrono::steady_clock::now() >= patience) return client;
  client = client::Client::Dial(target, kListensWithin);
  (void)AwaitRecovery(*client);
  return client;
}

}  // namespace

StatusOr<client::Client*> Session::Connect() {
  if (client_) return client_.get();
  if (format == "jsonl" && !prints_lines) {
    return MakeError(Reason::kInvalidField, "--format jsonl: only `items` supports it; use --format json");
  }
  if (!server.empty() && !local) {
    client_ = Reach(server);
    return client_.get();
  }
  MR_ASSIGN_OR_RETURN(const std::string directory, client::DataDirOf(data_dir, config));
  if (detaches) {
    holder_ = client::Holder::Attach(directory);
    if (!holder_) {
      return MakeError(
          Reason::kInvalidField,
          fmt::format("--detach: no server holds {}, so the run would stop; start `millraced` and name it with "
                      "--server, or omit --detach",
                      Excerpt(directory, 256)));
    }
  } else {
    MR_ASSIGN_OR_RETURN(holder_,
                        client::Holder::Open(directory, config, calls ? Secrets::kRequired : Secrets::kOptional));
  }
  std::cerr << holder_->description() << "\n";
  // The holder may be a server, or a command like this one that ends when its own work is done.
  if (detaches) std::cerr << "a detached run continues only as long as that process runs\n";
  client_ = Reach(holder_->target());
  holder_->KeepToItself();
  return client_.get();
}

std::string Session::Flags() const {
  if (!server.empty() && !local) return fmt::format(" --server {}", server);
  std::string flags = data_dir.empty() ? "" : fmt::format(" --data-dir {}", data_dir);
  if (!config.empty()) flags += fmt::format(" --config {}", config);
  return flags;
}

void Session::OnInterrupt(std::function<void()> function) {
  const std::lock_guard lock(interrupt_mutex);
  on_interrupt = std::move(function);
}

void Session::HoldInterrupts(std::string what) {
  OnInterrupt([what = std::move(what)] {
    std::cerr << fmt::format("interrupted: waiting for {}; once more ends at once\n", what);
  });
}

bool Session::interrupted() const { return was_interrupted; }

bool Session::Sleep(Duration duration) const {
  constexpr Duration kStep = std::chrono::milliseconds(50);
  for (; duration > Duration(0) && !interrupted(); duration -= kStep) {
    std::this_thread::sleep_for(std::min(duration, kStep));
  }
  return !interrupted();
}

bool Session::Finish() {
  int64_t lost = 0;
  client_.reset();
  if (holder_) {
    OnInterrupt([] {});
    holder_->StayForOthers(
        [this] { return interrupted(); },
        [] { std::cerr << "other commands use this command's store; it stays until they have finished\n"; });
    OnInterrupt(nullptr);
    lost = holder_->Drain(kDrainPatience);
  }
  holder_.reset();
  return lost == 0;
}

// Every later thread inherits the blocked signals, so that only this thread receives them.
void WatchInterrupts() {
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  std::thread([signals] {
    int signal = 0;
    std::chrono::steady_clock::time_point first;
    while (sigwait(&signals, &signal) == 0) {
      const auto now = std::chrono::steady_clock::now();
      if (was_interrupted.exchange(true)) {
        if (now - first < kSameInterrupt) continue;
        EndAtOnce();
      }
      first = now;
      const std::lock_guard lock(interrupt_mutex);
      if (!on_interrupt) ::_exit(kInterrupted);
      on_interrupt();
    }
  }).detach();
}

CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& description,
                     const std::string& examples) {
  CLI::App* command = app.add_subcommand(name, description);
  command->fallthrough();
  command->footer("Examples:\n" + examples);
  return command;
}

StatusOr<PipelineFile> LoadPipeline(const std::string& path, const std::string& config) {
  MR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kDefinitionMibMax));
  const StageRegistry stages = BuiltinStages();
  return ReadPipeline(text, path, DefinitionLoader(path, config), &stages);
}

int PrintPipelineError(const Status& status, const std::optional<PipelineFile>& file) {
  return PrintError(file && ReasonOf(status) == Reason::kInvalidDefinition ? WithPlaces(status, *file) : status);
}

void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings) {
  for (const std::string& warning : warnings) std::cerr << fmt::format("warning: {}\n", Safe(warning, 1024));
}

}  // namespace millrace::cli
