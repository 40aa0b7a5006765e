// Parts that all commands share: global options, the connection, and Ctrl-C.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/lib/client.h"
#include "client/lib/holder.h"
#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/config/pipeline_file.h"

namespace millrace::cli {

// Global options, and the connection that they select.
class Session {
 public:
  std::string server;           // --server, MILLRACE_SERVER
  bool local = false;           // --local
  std::string data_dir;         // --data-dir; empty: the configuration says
  std::string config;           // --config
  std::string format = "text";  // --format
  bool json() const { return format == "json"; }
  bool prints_lines = false;  // the command supports --format jsonl
  bool calls = false;         // the command may call backends, so that their secrets must be there
  bool detaches = false;      // the run outlives the command: another process must hold the store

  // Connects to a server, or opens the store in this process. The first call reports the choice on stderr.
  StatusOr<client::Client*> Connect();
  // Returns true if this process holds the store.
  bool holds() const { return holder_ && holder_->own(); }
  // Returns the options with which another command line reaches the same store: ` --data-dir X --config Y` or `
  // --server X`; empty for the defaults.
  std::string Flags() const;

  // Calls `function` on Ctrl-C, SIGTERM or SIGHUP, on another thread. A second one ends the process, unless it comes
  // within half a second: then it is the same interrupt (`timeout` signals the command and its process group).
  void OnInterrupt(std::function<void()> function);
  // As OnInterrupt, if an interrupt must not end the process before its request is answered: says that it waits for
  // `what`.
  void HoldInterrupts(std::string what);
  bool interrupted() const;
  // Sleeps; returns false at once if the command is interrupted.
  bool Sleep(Duration duration) const;

  // If this process holds the store: waits for calls in flight and for other commands that use it. Returns false if
  // received answers could not be stored, which the log says.
  bool Finish();

 private:
  std::unique_ptr<client::Holder> holder_;
  std::unique_ptr<client::Client> client_;
};

// Adds all options and commands. `session` and `exit` must outlive `app`. (app.cc)
void BuildApp(CLI::App& app, Session& session, int& exit);

// Parses the arguments (without the program's name) and runs the command; returns the exit status. Arguments that are
// not UTF-8 are an error. (app.cc)
int RunCommand(Session& session, std::vector<std::string> arguments);

// Each function adds its commands to `app`; the callback of a command sets `exit`.
void AddPipelineCommands(CLI::App& app, Session& session, int& exit);
void AddRunCommand(CLI::App& app, Session& session, int& exit);
void AddRunsCommands(CLI::App& app, Session& session, int& exit);
void AddItemCommands(CLI::App& app, Session& session, int& exit);
void AddGenerateCommand(CLI::App& app, Session& session, int& exit);
void AddEmbedCommand(CLI::App& app, Session& session, int& exit);
void AddServerCommands(CLI::App& app, Session& session, int& exit);
void AddBackendsCommand(CLI::App& app, Session& session, int& exit);
void AddSimulateCommand(CLI::App& app, Session& session, int& exit);

// Starts a thread that handles SIGINT and SIGTERM. REQUIRES: no other thread exists yet.
void WatchInterrupts();

// Adds a command with examples in its help.
CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& description,
                     const std::string& examples);

// Reads a pipeline with its definition files; errors name file, line and column. `config`: --config, whose own files
// no definition may send.
StatusOr<PipelineFile> LoadPipeline(const std::string& path, const std::string& config = "");

// Prints an error about a pipeline: if it was read from a file, with the places of the fields that a server refuses.
// Returns the exit status.
int PrintPipelineError(const Status& status, const std::optional<PipelineFile>& file);

// Prints warnings about a pipeline on stderr.
void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings);

// Watches a run to its end and prints the result; returns the exit status. (follow.cc)
int FollowRun(Session& session, client::Client& client, const std::string& run, int64_t after);

}  // namespace millrace::cli
