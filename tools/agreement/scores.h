// How well found groups agree with true ones.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace millrace {

// The group of each item, as numbers from 0 without gaps; an item in no group has one of its own.
using Labels = std::vector<int>;

// Numbers for the names of groups, in order of first place. An empty name is no group.
Labels LabelsOf(const std::vector<std::string>& names);

// A group of its own for each of so many items.
Labels EachAlone(size_t items);

struct Scores {
  // BCubed (Bagga and Baldwin 1998): for each item the share of its found group that is truly with it (precision), and
  // of its true group that was found with it (recall), itself included; the means over all items, and their harmonic
  // mean. Unlike counts of pairs, it does not let a few large groups decide.
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  // Harmonic mean of precision and recall over pairs of items.
  double pairwise_f1 = 0;
  // Share of items in a found group of two or more.
  double assigned = 0;
  // Groups of three and more: found ones, true ones, and true ones of which a found group has more than half of the
  // members of both together.
  size_t found = 0;
  size_t truth = 0;
  size_t matched = 0;
};

Scores ScoresOf(const Labels& found, const Labels& truth);

}  // namespace millrace
