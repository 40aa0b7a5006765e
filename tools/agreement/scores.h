// Agreement of found groups with true ones.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace millrace {

// Group of each item, numbered from 0 without gaps; an item without a group has one of its own.
using Labels = std::vector<int>;

// Numbers groups by their names, in order of first appearance. An empty name means no group.
Labels LabelsOf(const std::vector<std::string>& names);

// Puts each item into a group of its own.
Labels EachAlone(size_t items);

struct Scores {
  // BCubed (Bagga and Baldwin 1998), averaged over all items: the share of an item's found group that truly belongs
  // with it (precision), the share of its true group that was found with it (recall), both including the item itself,
  // and their harmonic mean. Unlike counts of pairs, a few large groups do not dominate it.
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  // Harmonic mean of precision and recall over pairs of items.
  double pairwise_f1 = 0;
  // Share of items in a found group of two or more.
  double assigned = 0;
  // Groups of three and more: found ones; true ones; and true ones for which a found group shares more than half of the
  // union of their members.
  size_t found = 0;
  size_t truth = 0;
  size_t matched = 0;
};

Scores ScoresOf(const Labels& found, const Labels& truth);

}  // namespace millrace
