// The parts of a simulated server that are the real ones: the call layer over the real `openai` backend, the real stage
// kinds (but for the sink), the real checks.
#pragma once

#include <memory>

#include "server/engine/engine.h"
#include "server/http/client.h"
#include "server/simulator/sink.h"

namespace millrace::simulator {

// The call layer with one model alias `writer` on one target of `concurrency` slots.
class SimulatedCalls {
 public:
  virtual ~SimulatedCalls() = default;
  virtual CallHandler& handler() = 0;
  virtual CallDesk& desk() = 0;
};
std::unique_ptr<SimulatedCalls> MakeSimulatedCalls(Loop& loop, Pool& pool, Store& store, HttpClient& http,
                                                   Random random, int concurrency);

// The kinds of the product, with `store` writing to `sinks`.
StageRegistry SimulatedStages(SinkWorld& sinks);

// Refuses every path.
const FileAccess& NoFiles();

EngineOptions SimulatedEngineOptions();

}  // namespace millrace::simulator
