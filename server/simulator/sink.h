// The outside world that a simulated store stage writes to. It outlives crashes of the server, as a real sink does.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/base/random.h"
#include "server/stages/registry.h"

namespace millrace::simulator {

// One row that was written.
struct SinkRow {
  std::string id;
  std::string json;
  auto operator<=>(const SinkRow&) const = default;
};

// Everything that was written, by stage. A generation that exists is not written again, as in a real sink.
class SinkWorld {
 public:
  struct Generation {
    std::string name;
    std::vector<SinkRow> rows;
  };
  // By stage, in the order written.
  std::map<std::string, std::vector<Generation>> stages;
};

// Returns the kind `store` over a SinkWorld. It takes some time, then writes all rows at once.
StageKind SimulatedStoreKind(SinkWorld& world);

}  // namespace millrace::simulator
