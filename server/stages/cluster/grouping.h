// Grouping of a whole corpus: each partition (value of `within`) separately, in passes from strict to relaxed.
#pragma once

#include <cstdint>
#include <vector>

#include "server/stages/cluster/agglomeration.h"

namespace millrace {

struct GroupingPass {
  double threshold = 0;  // least similarity at which groups are joined
  size_t min_size = 2;   // smaller groups that this pass has made are dissolved
};

struct GroupingOptions {
  AgglomerationOptions agglomeration;
  std::vector<GroupingPass> passes;
  size_t max_neighbors = 100;
};

// Returns the groups of all documents, also those of one document, in the order of their first documents. `partitions`
// has a number, from 0, for each document; only documents of one partition are grouped together. A pure function.
std::vector<Members> GroupDocuments(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                    const std::vector<uint32_t>& partitions, const GroupingOptions& options);

// Returns the most bytes that GroupDocuments needs besides the vectors.
size_t GroupingBytes(size_t documents, size_t features, size_t max_neighbors);

}  // namespace millrace
