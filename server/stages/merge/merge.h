// Stage kind `merge`: joins items that describe one thing, by rules over pairs.
#pragma once

#include "server/stages/stage.h"

namespace millrace {

StageKind MergeKind();

}  // namespace millrace
