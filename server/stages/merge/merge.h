// The stage kind `merge`: joins items that are the same thing, by rules over pairs.
#pragma once

#include "server/stages/stage.h"

namespace millrace {

// The kind.
StageKind MergeKind();

}  // namespace millrace
