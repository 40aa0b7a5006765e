// millrace: the command.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "client/cli/commands.h"

namespace millrace::cli {

namespace {

int Main(int argc, char** argv) {
  WatchInterrupts();
  // The log of a coordinator of its own: stdout is for answers, and what went well is not worth a line here.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millrace"));
  spdlog::set_level(spdlog::level::warn);
  Session session;
  if (const char* server = std::getenv("MILLRACE_SERVER")) session.server = server;
  return RunCommand(session, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) { return millrace::cli::Main(argc, argv); }
