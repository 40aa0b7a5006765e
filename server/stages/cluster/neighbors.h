// The nearest documents of each, found through an inverted index: only documents that share a telling word are ever
// compared.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "server/text/features.h"

namespace millrace {

// A document that is near another.
struct Neighbor {
  uint32_t document = 0;
  float similarity = 0;
};

struct NeighborOptions {
  double least_similarity = 0.1;  // pairs below it are left out
  size_t max_neighbors = 200;     // of one document; the most similar, the earlier where equal
};

// How much of a pair's similarity counts, 0 to 1; 0: they are no neighbours.
using PairFactor = std::function<double(uint32_t left, uint32_t right)>;

// The neighbours of each document, most similar first; similarities above 1 (of short texts that are scaled up) are 1.
// Exact: what is not looked at is below the least similarity (the bound of Bayardo, Ma and Srikant, "Scaling up all
// pairs similarity search", 2007). A pure function.
std::vector<std::vector<Neighbor>> FindNeighbors(const Vectors& vectors, const NeighborOptions& options,
                                                 const PairFactor& factor);

}  // namespace millrace
