// The kind `prepare`: applies rules to each item.
#pragma once

namespace millrace {

struct StageKind;

StageKind PrepareKind();

}  // namespace millrace
