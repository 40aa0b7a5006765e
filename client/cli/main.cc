// millrace: the command.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/output.h"

namespace millrace::cli {

namespace {

int Main(int argc, char** argv) {
  WatchInterrupts();
  // The log of a coordinator of its own: stdout is for answers, and what went well is not worth a line here.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millrace"));
  spdlog::set_level(spdlog::level::warn);
  Session session;
  if (const char* server = std::getenv("MILLRACE_SERVER")) session.server = server;
  int exit = kDone;
  CLI::App app;
  BuildApp(app, session, exit);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  session.Finish();
  return exit;
}

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) { return millrace::cli::Main(argc, argv); }
