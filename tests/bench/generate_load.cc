// Calls Generate with distinct prompts, a fixed number of calls at once, and prints for each window of calls how many
// ended a second and how much CPU time the server took for one. No call can be answered from memory.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "millrace/v1/completion_service.grpc.pb.h"

namespace millrace {
namespace {

using SteadyClock = std::chrono::steady_clock;

// CPU time that a process has used so far, in seconds: fields 14 and 15 of its `stat`, counted from 1. Names of
// processes may contain spaces, so that counting begins behind the last parenthesis.
double CpuSecondsOf(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user = 0;
  int64_t system = 0;
  fields >> user >> system;
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Settings {
  std::string server;
  std::string model = "writer";
  int64_t pid = 0;
  int64_t calls = 1'000'000;
  int64_t first = 0;
  int callers = 64;
  int64_t window = 100'000;
  bool despite_errors = false;
  int connections = 1;
  bool streams = false;
};

// Reads a stream to its end, and keeps its answer.
class Reader final : public grpc::ClientReadReactor<v1::StreamGenerateResponse> {
 public:
  Reader(v1::GenerateResponse& answer, std::function<void(const grpc::Status&)> ended)
      : answer_(answer), ended_(std::move(ended)) {}

  void Start() {
    StartRead(&response_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_answer()) answer_ = response_.answer();
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    // The next call of this caller replaces the reader.
    const std::function<void(const grpc::Status&)> ended = std::move(ended_);
    ended(status);
  }

  v1::GenerateResponse& answer_;
  std::function<void(const grpc::Status&)> ended_;
  v1::StreamGenerateResponse response_;
};

// Keeps `callers` calls in flight until all are answered or, unless it continues despite errors, one fails.
class Load {
 public:
  explicit Load(const Settings& settings) : settings_(settings) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all channels share one connection
    for (int i = 0; i < settings.connections; ++i) {
      stubs_.push_back(v1::CompletionService::NewStub(
          grpc::CreateCustomChannel(settings.server, grpc::InsecureChannelCredentials(), arguments)));
    }
  }

  // Returns the first error, if any.
  grpc::Status Run() {
    window_begun_ = SteadyClock::now();
    window_cpu_ = CpuSecondsOf(settings_.pid);
    for (int i = 0; i < settings_.callers; ++i) callers_.emplace_back();
    for (Call& call : callers_) StartNext(call);
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
    return error_;
  }

 private:
  struct Call {
    std::optional<grpc::ClientContext> context;
    v1::GenerateRequest request;
    v1::GenerateResponse response;
    v1::StreamGenerateRequest streamed;
    std::unique_ptr<Reader> reader;  // of the newest stream
  };

  void StartNext(Call& call) {
    int64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!error_.ok() || started_ == settings_.calls) return;
      number = settings_.first + started_++;
      ++running_;
    }
    call.context.emplace();
    call.request.Clear();
    call.request.set_model(settings_.model);
    call.request.set_max_tokens(64);
    v1::Message& message = *call.request.add_messages();
    message.set_role("user");
    message.set_content(
        fmt::format("Say something about item {}: the quick brown fox number {} jumps", number, number));
    v1::CompletionService::Stub& stub = *stubs_[static_cast<size_t>(number) % stubs_.size()];
    auto ended = [this, &call](const grpc::Status& status) {
      const bool is_new = !call.response.cache_hit() && !call.response.coalesced();
      StartNextAfter(call, !status.ok() || is_new ? status : grpc::Status(grpc::ALREADY_EXISTS, "a remembered answer"));
    };
    if (!settings_.streams) {
      stub.async()->Generate(&*call.context, &call.request, &call.response, std::move(ended));
      return;
    }
    *call.streamed.mutable_generate() = call.request;
    call.reader = std::make_unique<Reader>(call.response, std::move(ended));
    stub.async()->StreamGenerate(&*call.context, &call.streamed, call.reader.get());
    call.reader->Start();
  }

  void StartNextAfter(Call& call, const grpc::Status& status) {
    {
      const std::lock_guard lock(mutex_);
      if (!status.ok() && error_.ok() && !settings_.despite_errors) error_ = status;
      if (status.ok() && ++done_ % settings_.window == 0) PrintWindowLocked();
    }
    StartNext(call);
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_one();
  }

  void PrintWindowLocked() {
    const SteadyClock::time_point now = SteadyClock::now();
    const double cpu = CpuSecondsOf(settings_.pid);
    const auto calls = static_cast<double>(settings_.window);
    fmt::print("calls {} to {}: {:.0f} calls/s, {:.1f} us of the server's CPU a call\n", done_ - settings_.window,
               done_, calls / std::chrono::duration<double>(now - window_begun_).count(),
               1e6 * (cpu - window_cpu_) / calls);
    window_begun_ = now;
    window_cpu_ = cpu;
  }

  const Settings settings_;
  std::vector<std::unique_ptr<v1::CompletionService::Stub>> stubs_;  // one for each connection
  std::deque<Call> callers_;

  std::mutex mutex_;
  std::condition_variable ended_;
  int64_t started_ = 0;  // this and all below: guarded by mutex_
  int64_t done_ = 0;
  int running_ = 0;
  grpc::Status error_;
  SteadyClock::time_point window_begun_;
  double window_cpu_ = 0;
};

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  millrace::Settings settings;
  CLI::App app("Loads a server with calls of Generate, each with a prompt of its own.");
  app.add_option("--server", settings.server, "Its address")->required();
  app.add_option("--pid", settings.pid, "Its process, on this machine")->required();
  app.add_option("--model", settings.model, "Alias of the model")->capture_default_str();
  app.add_option("--calls", settings.calls, "Calls in all")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--first", settings.first, "Number in the first prompt: another run begins after the last one's")
      ->capture_default_str();
  app.add_option("--callers", settings.callers, "Calls at once")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--window", settings.window, "Calls a line")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--connections", settings.connections,
                 "Connections that the calls are spread over; each has at most 100")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_flag("--stream", settings.streams, "Call StreamGenerate");
  app.add_flag("--despite-errors", settings.despite_errors, "Continue if calls fail");
  CLI11_PARSE(app, argc, argv);

  setvbuf(stdout, nullptr, _IOLBF, 0);
  const grpc::Status status = millrace::Load(settings).Run();
  if (status.ok()) return 0;
  fmt::print(stderr, "Generate failed: {}\n", status.error_message());
  return 1;
}
