// The stage kind `fetch`: items from a CSV or JSONL file, or sent by the client.
#pragma once

#include "server/stages/stage.h"

namespace millrace {

// Its stages tell the path as it is written: whoever opens the file asks FileAccess, since a client may send another
// file's bytes in its place.
StageKind FetchKind();

}  // namespace millrace
