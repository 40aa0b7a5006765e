// The command line: global options, commands and error messages.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/process/coordinator.h"
#include "server/text/nearest.h"

namespace millrace::cli {

namespace {

// Describes a usage error. If a command is missing and an unknown word is in its place, CLI11 reports only the missing
// command; this names the word.
std::string FailureText(const CLI::App* app, const CLI::Error& error) {
  const std::vector<std::string> unknown = app->remaining();
  const CLI::App* parent = app;  // parent of the missing command
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
      "millrace runs pipelines of LLM calls, remembers every answer, and continues after an interruption.\n"
      "Without --server (or MILLRACE_SERVER) it works on a local data directory and needs no server.");
  app.require_subcommand(1);
  app.fallthrough();
  app.failure_message(FailureText);
  app.set_version_flag("--version", kVersion);
  app.add_option("--server", session.server, "Address of a millraced, HOST:PORT (default: MILLRACE_SERVER)");
  app.add_flag("--local", session.local, "Use the data directory even if MILLRACE_SERVER is set");
  app.add_option("--data-dir", session.data_dir,
                 "Data directory to use without a server (default: `data_dir` of the configuration, else .millrace)");
  app.add_option("--config", session.config,
                 "Configuration file to use without a server (default: millrace.yaml if it exists, else built in)");
  app.add_option(
         "--format", session.format,
         "text; json: the response as protobuf JSON, one document per page; jsonl: one line per item (only `items`)")
      ->check(CLI::IsMember({"text", "json", "jsonl"}))
      ->capture_default_str();
  app.footer(
      "Exit status: 0 done, 1 the run or call failed, or the output could not be written, 2 wrong usage or\n"
      "configuration, 3 done, but some items failed,\n"
      "5 no server available (unreachable, shutting down, or reopening its store), 6 the run waits until a person\n"
      "repairs what the message names, 130 interrupted.");
  AddPipelineCommands(app, session, exit);
  AddRunCommand(app, session, exit);
  AddRunsCommands(app, session, exit);
  AddItemCommands(app, session, exit);
  AddGenerateCommand(app, session, exit);
  AddEmbedCommand(app, session, exit);
  AddServerCommands(app, session, exit);
  AddBackendsCommand(app, session, exit);
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
  std::reverse(arguments.begin(), arguments.end());  // CLI11 expects the reverse order
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  if (!session.Finish() && exit == kDone) exit = kRunFailed;
  // The output is missing, or a part of it is.
  if (!std::cout.flush() && (exit == kDone || exit == kSomeFailed)) exit = kRunFailed;
  return exit;
}

}  // namespace millrace::cli
