// Search for the nearest documents of each document with an inverted index, which compares only documents that share a
// rare enough word.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "server/stages/group/time_rules.h"
#include "server/text/features.h"

namespace millrace {

// A document near another, and their similarity in [0, 1].
struct Neighbor {
  uint32_t document = 0;
  float similarity = 0;
};

struct NeighborOptions {
  double least_similarity = 0.1;            // pairs below it are omitted
  size_t max_neighbors = 200;               // limit for one document; keeps the most similar, the earlier of equals
  const std::atomic<bool>* stop = nullptr;  // ends the search soon after it is set, with a partial result; may be null
};

// Returns the neighbours of each document, most similar first. The similarity is the dot product, at most 1 (vectors of
// short texts are longer than 1), multiplied by the factor of the rules of time; `times` has a point in time, or an
// unknown span, for each document. The result is exact: documents that are not compared are too far away in time or
// below the least similarity (the bound of Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", 2007). A
// pure function.
std::vector<std::vector<Neighbor>> FindNeighbors(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                                 const TimeRules& rules, const NeighborOptions& options);

}  // namespace millrace
