// The command line as a whole.
#include <fmt/format.h>

#include <algorithm>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/config/nearest.h"
#include "server/process/coordinator.h"

namespace millrace::cli {

namespace {

// What is wrong with a line, for people. Where a command is missing and something else is there, CLI11 says only the
// former.
std::string FailureText(const CLI::App* app, const CLI::Error& error) {
  const std::vector<std::string> unknown = app->remaining();
  const CLI::App* parent = app;  // of the command that is missing
  while (!parent->get_subcommands().empty()) parent = parent->get_subcommands().front();
  if (parent->get_require_subcommand_min() == 0 || unknown.empty()) return CLI::FailureMessage::simple(app, error);
  std::vector<std::string> known;
  for (const CLI::App* command : parent->get_subcommands({})) known.push_back(command->get_name());
  const std::string what = unknown.front().starts_with('-') ? "option" : "command";
  return fmt::format("unknown {} `{}`{}\nRun with --help for more information.\n", what, Safe(unknown.front()),
                     what == "command" ? DidYouMean(unknown.front(), known) : "");
}

}  // namespace

void BuildApp(CLI::App& app, Session& session, int& exit) {
  app.name("millrace");
  app.description(
      "millrace: runs pipelines of LLM calls, remembers every answer, and goes on where it was.\n"
      "Without --server (or MILLRACE_SERVER) it works on a data directory of its own, with no server.");
  app.require_subcommand(1);
  app.fallthrough();
  app.failure_message(FailureText);
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
  if (Status status = CheckUtf8("MILLRACE_SERVER", session.server); !status.ok()) return PrintError(status);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string what = fmt::format("argument {}, \"{}\"", i + 1, Excerpt(arguments[i]));
    if (Status status = CheckUtf8(what, arguments[i]); !status.ok()) return PrintError(status);
  }
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
