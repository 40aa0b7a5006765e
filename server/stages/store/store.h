// Stage kind `store`: writes all items of its input atomically to a SQLite database, a JSONL file or a CSV file.
#pragma once

#include "server/stages/stage.h"

namespace millrace {

StageKind StoreKind();

}  // namespace millrace
