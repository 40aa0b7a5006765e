// The program `millrace`.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/output_file.h"
#include "server/base/standard_streams.h"

namespace millrace::cli {

namespace {

int Main(int argc, char** argv) {
  OpenStandardStreams();
  WatchInterrupts();
  // Log of an in-process coordinator: on stderr, because stdout is for answers, and warnings only.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millrace"));
  spdlog::set_level(spdlog::level::warn);
  OutputFile output(STDOUT_FILENO);
  std::streambuf* const before = std::cout.rdbuf(&output);
  Session session;
  if (const char* server = std::getenv("MILLRACE_SERVER")) session.server = server;
  int exit = RunCommand(session, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  const Status written = output.Close();
  std::cout.rdbuf(before);
  if (written.ok()) return exit;
  // The reader of a pipe knows that it has left.
  if (!output.reader_left()) PrintError(written);
  return exit == kDone || exit == kSomeFailed ? kRunFailed : exit;
}

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) { return millrace::cli::Main(argc, argv); }
