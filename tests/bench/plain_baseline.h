// What the lexical clustering is held against: all words, their count times the logarithm of their rareness, the
// cosine, and average linkage over all pairs, in the plainest way. Nothing of the product is in it.
#pragma once

#include <string>
#include <vector>

#include "tools/agreement/scores.h"

namespace millrace {

// One joining of two groups.
struct Joining {
  double similarity;
  size_t left;
  size_t right;  // an item of each
};

// The whole tree over the texts, most similar joining first. Takes 4 bytes for each pair.
std::vector<Joining> PlainTree(const std::vector<std::string>& texts);

// The groups at a threshold.
Labels CutAt(const std::vector<Joining>& tree, size_t items, double threshold);

}  // namespace millrace
