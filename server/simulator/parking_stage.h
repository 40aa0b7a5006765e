// A stage kind whose items may have to wait: those with a member `wake` (wall time in seconds) are parked until then.
// No kind of the product parks yet; the engine's promise about parked items is checked all the same.
#pragma once

#include "server/stages/stage.h"

namespace millrace::simulator {

StageKind WithParking(StageKind real);

}  // namespace millrace::simulator
