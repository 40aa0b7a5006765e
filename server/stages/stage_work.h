// A stage ready to work, in one of five shapes.
#pragma once

#include <memory>
#include <variant>

#include "server/stages/barrier_stage.h"
#include "server/stages/calling_stage.h"
#include "server/stages/fetch_stage.h"
#include "server/stages/pure_stage.h"
#include "server/stages/registry.h"
#include "server/stages/sink_stage.h"

namespace millrace {

// Returns the shape of a stage.
inline StageShape ShapeOf(const StageWork& work) { return static_cast<StageShape>(work.index()); }

// Returns the stage as one of the five interfaces. REQUIRES: it has that shape.
template <typename Stage>
const Stage& WorkAs(const StageWork& work) {
  return *std::get<std::unique_ptr<Stage>>(work);
}

}  // namespace millrace
