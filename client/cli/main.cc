// The program `millrace`.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "client/cli/commands.h"

namespace millrace::cli {

namespace {

int Main(int argc, char** argv) {
  WatchInterrupts();
  // Log of an in-process coordinator: on stderr, because stdout is for answers, and warnings only.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millrace"));
  spdlog::set_level(spdlog::level::warn);
  Session session;
  if (const char* server = std::getenv("MILLRACE_SERVER")) session.server = server;
  return RunCommand(session, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) { return millrace::cli::Main(argc, argv); }
