// The grouping of a whole corpus: apart by the value of `within`, pass by pass from strict to relaxed.
#pragma once

#include <cstdint>
#include <vector>

#include "server/stages/cluster/agglomeration.h"

namespace millrace {

struct GroupingPass {
  double threshold = 0;
  size_t min_size = 2;  // groups that it makes and that stay smaller are dissolved
};

struct GroupingOptions {
  AgglomerationOptions agglomeration;
  std::vector<GroupingPass> passes;
  size_t max_neighbors = 100;
};

// The groups of all documents, those of one document included, in order of their first documents. `partitions` has a
// number for each document, from 0: only documents with the same number come together. A pure function.
std::vector<Members> GroupDocuments(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                    const std::vector<uint32_t>& partitions, const GroupingOptions& options);

// Bytes that GroupDocuments takes at most for so many documents, beside their vectors.
size_t GroupingBytes(size_t documents, size_t features, size_t max_neighbors);

}  // namespace millrace
