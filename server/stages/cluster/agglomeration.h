// Agglomerative clustering: joins the two most similar groups repeatedly, down to a threshold. Compares only groups
// that have members which are neighbours. Computes the mean similarity of all pairs of two groups from the sums of
// their vectors, so that no pair is visited twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "server/stages/group/neighbors.h"
#include "server/stages/group/time_rules.h"
#include "server/text/features.h"

namespace millrace {

// Rule by which the similarity of two groups is computed from the similarities of their members: their mean, largest or
// smallest.
enum class Linkage { kAverage, kSingle, kComplete };

struct AgglomerationOptions {
  Linkage linkage = Linkage::kAverage;
  double cohesion = 0;  // for average linkage: 0 is the mean of all pairs, 1 the cosine of the sums, others lie between
  TimeRules time;
  const std::atomic<bool>* stop = nullptr;  // ends the work soon after it is set, with a useless result; may be null
};

// Cost of an agglomeration, for tests.
struct AgglomerationWork {
  size_t comparisons = 0;  // comparisons of two groups
  size_t joins = 0;
  size_t queued_max = 0;  // greatest length of the queue
};

// Documents to be grouped; each member has one entry for each document.
struct GroupingInput {
  const Vectors& vectors;
  const std::vector<TimeSpan>& times;
  const std::vector<std::vector<Neighbor>>& neighbors;
};

// Documents of a group, in ascending order.
using Members = std::vector<uint32_t>;

// Joins `groups` while the similarity of two is at least `threshold`. Returns the groups in the order of their first
// members. REQUIRES: each document is in exactly one group. A pure function: the order of documents decides ties. The
// queue has at most two entries for each of the given groups. Sets `work`, if it is not null, to the cost.
std::vector<Members> Agglomerate(const GroupingInput& input, const AgglomerationOptions& options, double threshold,
                                 std::vector<Members> groups, AgglomerationWork* work = nullptr);

}  // namespace millrace
