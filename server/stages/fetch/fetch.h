// The kind `fetch`: reads items from a CSV or JSONL file, or takes items that the client sends.
#pragma once

namespace millrace {

struct StageKind;

// A stage's path is not checked when it is made: a client may send the bytes instead. Whoever opens it asks FileAccess.
StageKind FetchKind();

}  // namespace millrace
