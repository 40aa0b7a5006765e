// The outside world that a simulated store stage writes to: what a transaction left there outlives crashes of the
// server.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/base/random.h"
#include "server/stages/stage.h"

namespace millrace::simulator {

// One row that was written.
struct SunkRow {
  std::string id;
  std::string json;
  auto operator<=>(const SunkRow&) const = default;
};

// What was written, by stage. A generation that is there already is not written again, as in a real sink.
class SinkWorld {
 public:
  struct Generation {
    std::string name;
    std::vector<SunkRow> rows;
  };
  // By stage, in the order written.
  std::map<std::string, std::vector<Generation>> stages;
};

// The kind `store` over a SinkWorld: takes its time, then writes all rows at once.
StageKind SimulatedStoreKind(SinkWorld& world);

}  // namespace millrace::simulator
