// The graph of a run's stages: which stage feeds which, which may start when, and which depend on which. Pure: no
// state, no time. (`millrace plan` prints a forecast, run/forecast.h.)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/stages/registry.h"

namespace millrace {

struct PlanStage {
  std::string name;
  std::string kind;
  StageShape shape = StageShape::kPure;
  std::vector<int> needs;
  std::vector<int> consumers;
  // It begins when its input is complete: a barrier, a sink, or a stage that checks its whole input first.
  bool whole_input = false;
  // Its items are delivered as they end; otherwise when the stage is complete.
  bool streams = false;
};

class Plan {
 public:
  // `shapes`: those of the stages in the pipeline's order. INVALID_ARGUMENT (INVALID_DEFINITION) if a need is unknown
  // or stages need each other in a cycle.
  static StatusOr<Plan> Make(const v1::Pipeline& pipeline, const std::vector<StageShape>& shapes);

  // In the pipeline's order.
  const std::vector<PlanStage>& stages() const { return stages_; }
  const PlanStage& stage(int index) const { return stages_[index]; }
  int size() const { return static_cast<int>(stages_.size()); }
  // -1: none of this name.
  int Find(std::string_view name) const;
  // Every stage after all that it needs.
  const std::vector<int>& order() const { return order_; }
  // Returns the stages that depend on `index`, without itself, in `order`.
  std::vector<int> After(int index) const;
  // Returns the stage whose items are the result: the last one before a sink, or the last.
  int Result() const;

  // Returns true if `consumer` gets items of `upstream` while `upstream` still works.
  bool Streams(int upstream, int consumer) const { return stages_[upstream].streams && !stages_[consumer].whole_input; }

  // The ordinal that an item of `stage`'s need number `need` has in `stage`, and back.
  int64_t OrdinalIn(int stage, int need, int64_t ordinal) const {
    return ordinal * static_cast<int64_t>(stages_[stage].needs.size()) + need;
  }
  struct Source {
    int need = 0;
    int64_t ordinal = 0;
  };
  Source SourceOf(int stage, int64_t ordinal) const {
    const int64_t needs = static_cast<int64_t>(stages_[stage].needs.size());
    return {static_cast<int>(ordinal % needs), ordinal / needs};
  }

  // Returns the graph for a forecast, which keeps no rows from which a later stage could read its input: every stage
  // delivers its items as they end, and every stage that works on single items begins with the first one.
  Plan Streaming() const;

 private:
  std::vector<PlanStage> stages_;
  std::vector<int> order_;
};

}  // namespace millrace
