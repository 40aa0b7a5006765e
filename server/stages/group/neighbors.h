// The nearest documents of each, found through an inverted index: only documents that share a telling word are ever
// compared.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "server/stages/group/time_rules.h"
#include "server/text/features.h"

namespace millrace {

// A document that is near another.
struct Neighbor {
  uint32_t document = 0;
  float similarity = 0;
};

struct NeighborOptions {
  double least_similarity = 0.1;            // pairs below it are left out
  size_t max_neighbors = 200;               // of one document; the most similar, the earlier where equal
  const std::atomic<bool>* stop = nullptr;  // once it is set, the search ends soon with what it has; may be null
};

// The neighbours of each document, most similar first. Their similarity is what is left of it by the rules of time
// (`times` has a point of time or nothing for each document); above 1 (of short texts that are scaled up) it is 1.
// Exact: what is not looked at is too far in time, or below the least similarity (the bound of Bayardo, Ma and Srikant,
// "Scaling up all pairs similarity search", 2007). A pure function.
std::vector<std::vector<Neighbor>> FindNeighbors(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                                 const TimeRules& rules, const NeighborOptions& options);

}  // namespace millrace
