// Stage kind `cluster`: groups items by the words that they share.
#pragma once

#include <cstdint>

#include "millrace/v1/stages.pb.h"

namespace millrace {

struct StageKind;

StageKind ClusterKind();

// Returns the approximate bytes of memory for clustering `items` items that have `text_bytes` bytes of compared text
// together. `millrace plan` shows them. They are checked against `max_memory` as the items are read (Clustering::Add).
int64_t ClusterBytes(const v1::Cluster& cluster, int64_t items, int64_t text_bytes);

}  // namespace millrace
