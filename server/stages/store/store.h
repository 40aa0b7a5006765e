// Stage kind `store`: writes all items of its input atomically to a SQLite database, a JSONL file or a CSV file.
#pragma once

namespace millrace {

struct StageKind;

StageKind StoreKind();

}  // namespace millrace
