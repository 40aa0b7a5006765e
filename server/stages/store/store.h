// The stage kind `store`: all items of its input to a SQLite database, a JSONL or a CSV file, whole or not at all.
#pragma once

#include "server/stages/stage.h"

namespace millrace {

StageKind StoreKind();

}  // namespace millrace
