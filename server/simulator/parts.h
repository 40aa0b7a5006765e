// The parts of a simulated server that are the real ones: the call layer over the real `openai` backend, the real stage
// kinds (but for the sink), the real checks.
#pragma once

#include <functional>
#include <memory>

#include "millrace/v1/server_config.pb.h"
#include "server/engine/engine.h"
#include "server/http/client.h"
#include "server/simulator/sink.h"

namespace millrace::simulator {

// One model alias `writer` on one target of `concurrency` slots.
v1::ServerConfig WriterConfig(int concurrency);

// The call layer over the models of a configuration. Each of its backends is the real `openai`, with the simulated
// provider behind it.
class SimulatedCalls {
 public:
  virtual ~SimulatedCalls() = default;
  virtual CallHandler& handler() = 0;
  virtual CallDesk& desk() = 0;
};
std::unique_ptr<SimulatedCalls> MakeSimulatedCalls(Loop& loop, Pool& pool, Store& store, HttpClient& http,
                                                   Random random, const v1::ServerConfig& config);

// The kinds of the product, with `store` writing to `sinks`.
StageRegistry SimulatedStages(SinkWorld& sinks);

// Refuses every path.
const FileAccess& NoFiles();

EngineOptions SimulatedEngineOptions();

// What a simulated server is made of that no seed draws.
struct Premises {
  std::function<StageRegistry(SinkWorld&)> stages = SimulatedStages;
  const FileAccess& files = NoFiles();
  EngineOptions options = SimulatedEngineOptions();
};

}  // namespace millrace::simulator
