#include "tests/e2e/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/base/child.h"

namespace millrace {

Process::Process(const std::vector<std::string>& command, const ProcessOptions& options) {
  int in[2];
  int out[2];
  int err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) abort();
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    unsetenv("MILLRACE_SERVER");
    for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
    if (chdir(options.directory.c_str()) == 0) execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  open_ = 2;
  readers_.emplace_back([this, fd = out[0]] { Collect(fd, out_); });
  readers_.emplace_back([this, fd = err[0]] { Collect(fd, err_); });
  // The input is small enough for the pipe's buffer.
  if (!options.input.empty() && write(in[1], options.input.data(), options.input.size()) < 0) perror("write");
  close(in[1]);
}

Process::~Process() {
  if (!waited_) {
    kill(pid_, SIGKILL);
    Wait();
  }
}

void Process::Signal(int signal) const { kill(pid_, signal); }

bool Process::EndsWithin(std::chrono::nanoseconds limit) const { return waited_ || millrace::EndsWithin(pid_, limit); }

void Process::Collect(int fd, std::string& into) {
  char buffer[4096];
  while (true) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    const std::lock_guard lock(mutex_);
    if (count > 0) into.append(buffer, static_cast<size_t>(count));
    if (count <= 0) --open_;
    printed_.notify_all();
    if (count <= 0) break;
  }
  close(fd);
}

bool Process::WaitForOutput(const std::function<bool(const std::string& out, const std::string& err)>& enough) {
  std::unique_lock lock(mutex_);
  bool satisfied = false;
  printed_.wait_for(lock, std::chrono::minutes(1), [&] {
    satisfied = enough(out_, err_);
    return satisfied || open_ == 0;
  });
  return satisfied;
}

Finished Process::Wait() {
  if (!waited_) {
    int status = 0;
    waitpid(pid_, &status, 0);
    exit_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    waited_ = true;
    for (std::thread& reader : readers_) reader.join();
  }
  const std::lock_guard lock(mutex_);
  return {.exit = exit_, .out = out_, .err = err_};
}

Finished RunProgram(const std::vector<std::string>& command, const ProcessOptions& options) {
  Process process(command, options);
  return process.Wait();
}

Workspace::Workspace() {
  std::string name = std::filesystem::temp_directory_path() / "millrace-e2e-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) abort();
  path_ = name;
}

Workspace::~Workspace() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Workspace::Write(const std::string& name, std::string_view content) const {
  std::filesystem::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name, std::ios::binary) << content;
}

std::string Workspace::Read(const std::string& name) const {
  std::ifstream file(path_ / name, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    abort();
  }
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace millrace
