// Programs as their users run them: started with arguments, watched by what they print, signalled, waited for.
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

// What a program left.
struct Finished {
  int exit = -1;  // 128 + the signal's number where one ended it
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::filesystem::path directory = ".";
  std::map<std::string, std::string> environment;  // beside ours; MILLRACE_SERVER is never inherited
  std::string input;                               // on standard input
};

// A running program. Killed where it is still there when this goes.
class Process {
 public:
  Process(const std::vector<std::string>& command, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;

  void Signal(int signal) const;
  // Waits until what it has printed so far satisfies `enough`; false where it ended or a minute passed first.
  bool WaitForOutput(const std::function<bool(const std::string& out, const std::string& err)>& enough);
  Finished Wait();
  // Waits at most so long. Whether it has ended.
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
  int open_ = 0;     // guarded by mutex_: streams that have not ended
  std::vector<std::thread> readers_;
};

// Runs a program to its end.
Finished RunProgram(const std::vector<std::string>& command, const ProcessOptions& options = {});

// A directory with files in it, removed at the end.
class Workspace {
 public:
  Workspace();
  ~Workspace();

  const std::filesystem::path& path() const { return path_; }
  void Write(const std::string& name, std::string_view content) const;
  // Empty where there is none.
  std::string Read(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

// A port on which nobody listens now.
int FreePort();

}  // namespace millrace
