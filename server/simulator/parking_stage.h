// A stage kind that parks items: an item with a member `wake` (wall time in seconds) is parked until then. No kind of
// the product parks items yet; this one checks the engine's promise about them.
#pragma once

#include "server/stages/registry.h"

namespace millrace::simulator {

StageKind WithParking(StageKind real);

}  // namespace millrace::simulator
