// Patience of a command whose server is away: it may be restarting. The command waits with a growing pause, says so
// once, and gives up after a while.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace::cli {

// Returns true if the error says that the server is away, shuts down or starts, so that the same call may succeed
// later.
bool IsOutage(const Status& status);

class Outage {
 public:
  struct Options {
    Duration patience = std::chrono::minutes(5);  // without an answer
    Duration backoff_min = std::chrono::milliseconds(200);
    Duration backoff_max = std::chrono::seconds(2);
    std::function<bool(Duration)> sleep;          // returns false if interrupted
    std::function<void(const std::string&)> say;  // shows a line to people
  };
  explicit Outage(Options options) : options_(std::move(options)), backoff_(options_.backoff_min) {}

  // Waits before the next try after a failed call. Returns false if the call must not be repeated: the error is not an
  // outage, the patience is over, or the wait was interrupted.
  bool Wait(const Status& status);
  // The server has answered.
  void End();

 private:
  const Options options_;
  Duration backoff_;
  Duration waited_{};
};

}  // namespace millrace::cli
