// millraced: the server.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

#include "server/base/end_signals.h"
#include "server/base/standard_streams.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"
#include "server/process/preflight.h"

namespace millrace {
namespace {

constexpr std::chrono::seconds kDrainPatience(20);
constexpr char kDefaultConfig[] = "millrace.yaml";  // as commands without a server use it
// Time in which further signals belong to the first one: `timeout` signals the process and its group.
constexpr std::chrono::milliseconds kSameSignal(500);

void PrintError(const Status& status) {
  std::cerr << fmt::format("millraced: {}\n", MessageOf(status));
  for (const FieldViolation& violation : ViolationsOf(status)) {
    std::cerr << fmt::format("  {}: {}\n", violation.field, violation.description);
  }
}

// Returns the exit status of a command that printed something: another one if it could not be written.
int Printed(int exit) {
  if (std::cout.flush()) return exit;
  std::cerr << "millraced: the output can't be written\n";
  return exit == 0 ? 1 : exit;
}

int Main(int argc, char** argv) {
  OpenStandardStreams();
  CLI::App app(
      "millraced: the Millrace server. It keeps its data in one directory, serves gRPC on a loopback address and on "
      "the\n"
      "data directory's socket, and ends gracefully on SIGTERM, SIGINT or SIGHUP (a second one, half a second "
      "later, ends it at once).",
      "millraced");
  app.footer(
      "Example:\n  millraced --config millraced.yaml --data-dir /var/lib/millrace\n"
      "Exit status: 0 ended gracefully, 1 ended at once by a second signal, 2 wrong usage or configuration, or "
      "--check\n"
      "found a problem, 3 ended, but answers that were received could not be stored (the log says how many).");
  std::string config_path;
  std::string data_dir;
  bool check = false;
  app.add_option(
      "--config", config_path,
      "Configuration file (YAML); absent: millrace.yaml of the working directory; without one: the backend `local` "
      "as model `local`");
  app.add_option("--data-dir", data_dir, "Directory of the store; overrides the configuration's `data_dir`");
  app.add_flag(
      "--check", check,
      "Check the configuration and what it names (data directory and its disk, folders, address, secrets), then "
      "exit");
  app.set_version_flag("--version", kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Printed(app.exit(error) == 0 ? 0 : 2);
  }

  std::error_code missing;
  if (config_path.empty() && std::filesystem::exists(kDefaultConfig, missing)) config_path = kDefaultConfig;
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millraced"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  StatusOr<v1::ServerConfig> config = config_path.empty() ? BuiltinServerConfig() : LoadServerConfig(config_path);
  if (!config.ok()) {
    PrintError(config.status());
    return 2;
  }
  if (!data_dir.empty()) config->set_data_dir(data_dir);
  std::string config_dir = std::filesystem::path(config_path).parent_path().string();
  if (config_dir.empty()) config_dir = ".";
  if (check) {
    const std::vector<std::string> problems = CheckStart(*config, config_dir);
    for (const std::string& problem : problems) std::cerr << fmt::format("millraced: {}\n", problem);
    if (!problems.empty()) return 2;
    std::cout << "the configuration is valid, and a server can start with it\n";
    return Printed(0);
  }

  // No core dumps, since secrets are in this process's memory.
  ::prctl(PR_SET_DUMPABLE, 0);

  // Blocked before any thread starts, so that all threads inherit the mask and sigwait below receives the signals.
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  spdlog::info("configuration: {}", config_path.empty() ? "built-in (no millrace.yaml in the working directory)"
                                                        : std::filesystem::absolute(config_path).string());
  CoordinatorOptions options;
  options.config = *std::move(config);
  options.config_dir = std::move(config_dir);
  options.config_path = config_path;
  StatusOr<std::unique_ptr<Coordinator>> coordinator = Coordinator::Start(std::move(options));
  if (!coordinator.ok()) {
    PrintError(coordinator.status());
    return 2;
  }

  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("signal {}: draining", signal);
  std::thread([signals, first = std::chrono::steady_clock::now()] {
    int second = 0;
    do {
      sigwait(&signals, &second);
    } while (std::chrono::steady_clock::now() - first < kSameSignal);
    spdlog::warn("signal {}: ended at once", second);
    ::_exit(1);  // a crash loses nothing either
  }).detach();
  const int64_t lost = (*coordinator)->Drain(kDrainPatience);
  coordinator->reset();
  spdlog::info("ended");
  return lost > 0 ? 3 : 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }
