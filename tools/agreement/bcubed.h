// BCubed (Bagga and Baldwin 1998): how well a grouping of items agrees with the true one. For each item, precision is
// the share of its group that belongs to its family, recall the share of its family that is in its group; both are
// averaged over all items. Unlike counts of pairs, it does not let a few large families decide.
#pragma once

#include <string>
#include <vector>

namespace millrace {

struct Agreement {
  double precision = 0;
  double recall = 0;
  double f1 = 0;  // their harmonic mean
};

// `groups[i]` and `families[i]` are those of item i. An item whose group is empty is a group of its own.
Agreement BCubed(const std::vector<std::string>& groups, const std::vector<std::string>& families);

}  // namespace millrace
