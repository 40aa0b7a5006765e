// The state of the backends' servers, found out by probes (backends/sdk/probe.h), which cost nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/sdk/probe.h"
#include "server/base/loop.h"
#include "server/llm/host.h"
#include "server/llm/target.h"

namespace millrace {

// Answer of one backend's server, or why there is none.
struct Probed {
  backend::ServerState state;               // empty if the probe failed
  std::optional<backend::Failure> failure;  // the server could not be reached, or is not usable
  Duration took{};
};

// Sends probes. Engine thread only.
class Prober {
 public:
  // Longest time of a probe.
  static constexpr Duration kTimeMax = std::chrono::seconds(3);

  // `sender` must outlive it.
  Prober(Loop& loop, AttemptSender& sender) : loop_(loop), sender_(sender) {}

  // Asks the server of a backend for its state, and about these of its models. A caller that asks while a probe of the
  // backend is in flight gets its result; so all callers must name the same models. Null: the backend has no probe.
  Task<std::shared_ptr<const Probed>> Ask(BackendEntry& entry, std::vector<std::string> models);

 private:
  using Result = Promise<std::shared_ptr<const Probed>>;

  Loop& loop_;
  AttemptSender& sender_;
  std::map<const BackendEntry*, std::shared_ptr<Result>> in_flight_;  // only looked up
};

}  // namespace millrace
