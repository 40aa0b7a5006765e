// Baseline for the lexical clustering: all words, weighted by their count times the logarithm of their rarity, cosine,
// and average linkage over all pairs, in the simplest way. Uses no code of the product.
#pragma once

#include <string>
#include <vector>

#include "tools/agreement/scores.h"

namespace millrace {

// One join of two groups.
struct Joining {
  double similarity;
  size_t left;
  size_t right;  // an item of each
};

// Returns the complete tree over the texts, the join of greatest similarity first. Needs 4 bytes for each pair of
// texts.
std::vector<Joining> PlainTree(const std::vector<std::string>& texts);

// Returns the number of each text's group at a threshold.
Labels CutAt(const std::vector<Joining>& tree, size_t items, double threshold);

}  // namespace millrace
