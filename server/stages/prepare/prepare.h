// The stage kind `prepare`: rules over each item. It asks no model, so it runs on the pool, many items at a time.
#pragma once

#include "server/stages/stage.h"

namespace millrace {

StageKind PrepareKind();

}  // namespace millrace
