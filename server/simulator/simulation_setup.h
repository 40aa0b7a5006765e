// The parts of a simulated server that are those of the product: the call layer over the `openai` backend, the stage
// kinds (except the sink) and the checks.
#pragma once

#include <functional>
#include <memory>

#include "millrace/v1/server_config.pb.h"
#include "server/engine/engine.h"
#include "server/http/client.h"
#include "server/simulator/sink.h"

namespace millrace::simulator {

// Returns a configuration with one model alias, `writer`, on one target with `concurrency` slots.
v1::ServerConfig WriterConfig(int concurrency);

// The call layer over the models of a configuration. Each backend is the real `openai` with the simulated provider
// behind it.
class SimulatedCalls {
 public:
  virtual ~SimulatedCalls() = default;
  virtual CallHandler& handler() = 0;
  virtual ModelDirectory& models() = 0;
  virtual AnswerMemory& answers() = 0;
  virtual CallTraffic& traffic() = 0;
};
std::unique_ptr<SimulatedCalls> MakeSimulatedCalls(Loop& loop, Pool& pool, Store& store, HttpClient& http,
                                                   Random random, const v1::ServerConfig& config);

// Returns the kinds of the product, with a `store` that writes to `sinks`.
StageRegistry SimulatedStages(SinkWorld& sinks);

// Returns a file access that refuses every path for reading.
const FileAccess& NoFiles();

// Returns the engine's options, with small chunks so that small runs have many.
EngineOptions SimulatedEngineOptions();

// The parts of a simulated server that no seed draws.
struct SimulationSetup {
  std::function<StageRegistry(SinkWorld&)> stages = SimulatedStages;
  const FileAccess& files = NoFiles();
  EngineOptions options = SimulatedEngineOptions();
};

}  // namespace millrace::simulator
