// Probes: questions about the state of a provider's server that cost nothing. The server sends them when a person asks
// for the state of backends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"

namespace millrace::backend {

// A model in the memory of a server.
struct LoadedModel {
  int64_t memory_bytes = 0;  // in all
  int64_t gpu_bytes = 0;     // the part on GPUs
  int64_t context = 0;       // tokens; 0: not reported
};

// A model that a server can answer with.
struct ServedModel {
  std::string name;
  std::string revision;               // changes if the model does; empty: not reported
  std::optional<LoadedModel> loaded;  // absent: not loaded, or the server does not say
};

// State of a server that answered a probe.
struct ServerState {
  std::string version;  // empty: not reported
  std::vector<ServedModel> models;
};

// One probe: requests whose responses are read as a whole. None is billable.
class Probe {
 public:
  virtual ~Probe() = default;

  // A request to send, the state, or why the server is not usable.
  using Step = std::variant<SendHttp, ServerState, Failure>;

  // Returns the first step.
  virtual Step Begin() = 0;
  // Returns the step after the response to the last request.
  virtual Step Next(const Response& response) = 0;
};

}  // namespace millrace::backend
