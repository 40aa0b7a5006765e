// Measures the cost of a call for the HTTP client: calls per second and CPU time of its thread per call, for several
// numbers of concurrent callers, over loopback to a server that answers at once (a child process,
// millrace_openai_server).
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "server/base/loop.h"
#include "server/http/beast_client.h"
#include "server/http/whole_body.h"

namespace millrace {
namespace {

double ThreadCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

struct Work {
  HttpClient& client;
  std::string url;
  std::string body;
  int64_t left;
  int64_t failed = 0;
  int callers;
};

Task<void> Call(Loop& loop, Work& work) {
  while (work.left > 0) {
    --work.left;
    HttpRequest request;
    request.url = work.url;
    request.headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer 0123456789012345678901234567"}};
    request.body = work.body;
    WholeBody sink;
    HttpLimits limits;
    const HttpResult result = co_await work.client.Send(std::move(request), std::move(limits), sink);
    if (result.outcome != HttpOutcome::kAnswered || result.status != 200) ++work.failed;
  }
  if (--work.callers == 0) loop.Stop();
}

// Starts the server as a child process and returns its port; 0 if that fails.
int StartServer(const std::filesystem::path& program, pid_t& child) {
  int pipe[2];
  if (::pipe(pipe) != 0) return 0;
  child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDOUT_FILENO);
    ::execl(program.c_str(), program.c_str(), "--port", "0", nullptr);
    ::_exit(127);
  }
  ::close(pipe[1]);
  char line[64] = {};
  const ssize_t size = ::read(pipe[0], line, sizeof line - 1);
  return size > 0 ? std::atoi(std::strrchr(line, ' ')) : 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  int callers = 16;
  int64_t calls = 100'000;
  CLI::App app("CPU time of an HTTP call over loopback.");
  app.add_option("--callers", callers, "Calls at once");
  app.add_option("--calls", calls, "Calls in all");
  CLI11_PARSE(app, argc, argv);
  pid_t child = 0;
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "millrace_openai_server";
  const int port = millrace::StartServer(program, child);
  if (port == 0) {
    fmt::print(stderr, "{} does not start\n", program.string());
    return 2;
  }
  millrace::SystemClock clock;
  millrace::Loop loop(clock);
  const auto pool = millrace::MakeInlinePool(loop);
  const auto client = millrace::MakeBeastClient(loop, *pool);
  millrace::Work work{.client = *client,
                      .url = fmt::format("http://127.0.0.1:{}/v1/chat/completions", port),
                      .body = std::string(500, 'x'),
                      .left = calls,
                      .callers = callers};
  for (int i = 0; i < callers; ++i) loop.Spawn(millrace::Call(loop, work));
  const double cpu = millrace::ThreadCpuSeconds();
  const auto begun = std::chrono::steady_clock::now();
  loop.Run();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  fmt::print("{} calls, {} at once: {:.0f} calls/s, {:.1f} us of CPU a call, {} failed\n", calls, callers,
             static_cast<double>(calls) / seconds,
             (millrace::ThreadCpuSeconds() - cpu) / static_cast<double>(calls) * 1e6, work.failed);
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
  return work.failed == 0 ? 0 : 1;
}
