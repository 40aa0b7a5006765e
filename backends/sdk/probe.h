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

// A model that the probe was made for, as the server knows it.
struct AskedModel {
  std::string revision;  // empty: not reported
  std::string problem;   // why the server can't answer with it, and what to do; empty: nothing is known against it
};

// State of a server that answered a probe.
struct ServerState {
  std::string version;              // empty: not reported
  std::vector<ServedModel> models;  // empty: none, or not reported
  std::vector<AskedModel> asked;    // one for each model that the probe was made for, in their order
  std::string note;                 // for people; empty: none
};

// One probe: an exchange of requests that are not billable. It ends with Fail, or with Done and an empty answer.
class Probe : public Exchange {
 public:
  // Returns the state. REQUIRES: Next returned Done.
  virtual ServerState TakeState() = 0;
};

// A probe whose responses are read as a whole. At most 8 MiB of a response are kept; a longer one is a failure.
class HttpProbe : public Probe {
 public:
  Action Next(Input input) final;
  ServerState TakeState() final { return std::move(state_); }

 protected:
  // A request to send, the state, or why the server is not usable.
  using Step = std::variant<SendHttp, ServerState, Failure>;

 private:
  // Returns the first step.
  virtual Step Begin() = 0;
  // Returns the step after the response to the last request.
  virtual Step Read(const Response& response) = 0;

  Action Take(Step step);

  Response response_;
  ServerState state_;
};

}  // namespace millrace::backend
