// The context of a running stage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/stop_signal.h"

namespace millrace {

// Made by the engine for one stage of one run. Engine thread.
struct StageContext {
  Loop& loop;
  Pool& pool;
  std::string run;
  std::string pipeline;
  std::string stage;
  std::string generation;  // for sinks: the run and the number of its redrives; a repeat has the same
  // Wall time that counts as now in this run. No memo key has it. REQUIRES: nothing that is memoized depends on it.
  int64_t as_of_micros = 0;
  std::shared_ptr<StopSignal> stop;  // set when the run is paused or cancelled; may be null
};

}  // namespace millrace
