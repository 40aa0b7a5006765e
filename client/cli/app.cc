// The command line as a whole.
#include <algorithm>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/coordinator.h"

namespace millrace::cli {

void BuildApp(CLI::App& app, Session& session, int& exit) {
  app.name("millrace");
  app.description(
      "millrace: runs pipelines of LLM calls, remembers every answer, and goes on where it was.\n"
      "Without --server (or MILLRACE_SERVER) it works on a data directory of its own, with no server.");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", kVersion);
  app.add_option("--server", session.server, "Address of a millraced, HOST:PORT (default: MILLRACE_SERVER)");
  app.add_flag("--local", session.local, "Use the data directory, whatever MILLRACE_SERVER says");
  app.add_option("--data-dir", session.data_dir, "Data directory without a server")->capture_default_str();
  app.add_option("--config", session.config, "Configuration without a server (default: millrace.yaml, else built in)");
  app.add_option("--format", session.format,
                 "text; json: the answer's protobuf JSON on stdout, a document a page; jsonl: a line an item (items)")
      ->check(CLI::IsMember({"text", "json", "jsonl"}))
      ->capture_default_str();
  app.footer(
      "Exit status: 0 done, 1 the run or the question failed, 2 usage or configuration, 3 done with failed items,\n"
      "5 no server to be had (not there, going down, its store being reopened), 130 interrupted.");
  AddPipelineCommands(app, session, exit);
  AddRunCommand(app, session, exit);
  AddRunsCommands(app, session, exit);
  AddItemCommands(app, session, exit);
  AddServerCommands(app, session, exit);
  AddSimulateCommand(app, session, exit);
}

int RunCommand(Session& session, std::vector<std::string> arguments) {
  int exit = kDone;
  CLI::App app;
  BuildApp(app, session, exit);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  session.Finish();
  return exit;
}

}  // namespace millrace::cli
