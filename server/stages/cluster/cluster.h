// The stage kind `cluster`: groups items by the words they share.
#pragma once

#include <cstdint>

#include "server/stages/stage.h"

namespace millrace {

// The kind.
StageKind ClusterKind();

// Bytes that clustering takes for so many items with so many bytes of compared text together, about: what a plan shows
// and `max_memory` is held against before the work begins.
int64_t ClusterBytes(const v1::Cluster& cluster, int64_t items, int64_t text_bytes);

}  // namespace millrace
