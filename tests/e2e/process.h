// Programs as their users run them: started with arguments, observed by their output, signalled, waited for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace {

// Result of a program.
struct Finished {
  int exit = -1;  // 128 + the signal's number if a signal ended the program
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::filesystem::path directory = ".";
  std::map<std::string, std::string>
      environment;    // added to the inherited environment, which never has MILLRACE_SERVER
  std::string input;  // standard input
};

// A running program. The destructor kills it if it still runs.
class Process {
 public:
  Process(const std::vector<std::string>& command, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;

  void Signal(int signal) const;
  // Waits until the output so far satisfies `enough`. Returns false if the program ended or a minute passed first.
  bool WaitForOutput(const std::function<bool(const std::string& out, const std::string& err)>& enough);
  Finished Wait();
  // Waits at most this long; returns true if the program has ended.
  bool EndsWithin(std::chrono::nanoseconds limit) const;

 private:
  void Collect(int fd, std::string& into);

  pid_t pid_ = -1;
  bool waited_ = false;
  int exit_ = -1;
  std::mutex mutex_;
  std::condition_variable printed_;
  std::string out_;  // guarded by mutex_
  std::string err_;  // guarded by mutex_
  int open_ = 0;     // streams that have not ended; guarded by mutex_
  std::vector<std::thread> readers_;
};

// Runs a program and waits for its end.
Finished RunProgram(const std::vector<std::string>& command, const ProcessOptions& options = {});

// A temporary directory with files, removed by the destructor.
class Workspace {
 public:
  Workspace();
  ~Workspace();

  const std::filesystem::path& path() const { return path_; }
  void Write(const std::string& name, std::string_view content) const;
  // Returns the content of a file; empty if it does not exist.
  std::string Read(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

// Returns a port on which nothing listens at the moment.
int FreePort();

}  // namespace millrace
