// The kind `synthesize`: asks a model about each item, one call an item (millrace.v1.Synthesize).
#pragma once

#include "server/stages/stage.h"

namespace millrace {

StageKind SynthesizeKind();

}  // namespace millrace
