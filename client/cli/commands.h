// What every command shares: the global options, the connection, and Ctrl-C.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/lib/client.h"
#include "client/lib/holder.h"
#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace::cli {

// Global options, and the connection that they lead to.
class Session {
 public:
  std::string server;                    // --server, MILLRACE_SERVER
  bool local = false;                    // --local
  std::string data_dir = "./.millrace";  // --data-dir
  std::string config;                    // --config
  std::string format = "text";           // --format
  bool json() const { return format == "json"; }
  bool prints_lines = false;  // the command knows --format jsonl
  bool detaches = false;      // the command leaves work behind: another process must hold the store

  // Connects, or holds the store. The first call says on stderr which.
  StatusOr<client::Client*> Connect();
  // This process holds the store.
  bool holds() const { return holder_ && holder_->own(); }
  // How a command line reaches the same store: ` --data-dir X --config Y` or ` --server X`; empty for the
  // defaults.
  std::string Flags() const;

  // Calls `function` on Ctrl-C (on another thread); a second one ends the process.
  void OnInterrupt(std::function<void()> function);
  bool interrupted() const;

  // Waits for calls in flight where this process holds the store.
  void Finish();

 private:
  std::unique_ptr<client::Holder> holder_;
  std::unique_ptr<client::Client> client_;
};

// All options and commands; `session` and `exit` must outlive the app. (app.cc)
void BuildApp(CLI::App& app, Session& session, int& exit);

// Reads the arguments (without the program's name; all of them UTF-8) and does what they say; the exit status. (app.cc)
int RunCommand(Session& session, std::vector<std::string> arguments);

// Each adds its commands to the app; the callback of a command sets `exit`.
void AddPipelineCommands(CLI::App& app, Session& session, int& exit);
void AddRunCommand(CLI::App& app, Session& session, int& exit);
void AddRunsCommands(CLI::App& app, Session& session, int& exit);
void AddItemCommands(CLI::App& app, Session& session, int& exit);
void AddServerCommands(CLI::App& app, Session& session, int& exit);
void AddSimulateCommand(CLI::App& app, Session& session, int& exit);

// Takes Ctrl-C and SIGTERM on a thread of its own. Before any other thread is made.
void WatchInterrupts();

// A command with examples in its help.
CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& description,
                     const std::string& examples);

// Reads a pipeline and its definition files; errors with file, line and column.
StatusOr<v1::Pipeline> LoadPipeline(const std::string& path);

// Watches a run to its end and prints what was done; the exit status. (follow.cc)
int FollowRun(Session& session, client::Client& client, const std::string& run, int64_t after);

}  // namespace millrace::cli
