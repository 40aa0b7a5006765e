// Groups that grow by joining the two most similar ones, again and again, down to a threshold. Only groups with members
// that are neighbours are ever compared, and the mean similarity of all pairs of two groups comes from the sums of
// their vectors, so that no pair is visited twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "server/stages/group/neighbors.h"
#include "server/stages/group/time_rules.h"
#include "server/text/features.h"

namespace millrace {

// How the similarity of two groups comes from that of their members.
enum class Linkage { kAverage, kSingle, kComplete };

struct AgglomerationOptions {
  Linkage linkage = Linkage::kAverage;
  double cohesion = 0;  // for average linkage: 0 the mean of all pairs, 1 the cosine of the sums
  TimeRules time;
  const std::atomic<bool>* stop = nullptr;  // once it is set, all ends soon, and the result means nothing; may be null
};

// What an agglomeration took: figures for tests.
struct AgglomerationWork {
  size_t comparisons = 0;  // of two groups
  size_t joins = 0;
  size_t queued_max = 0;  // most entries that the queue had at once
};

// What is grouped; each has an entry for each document.
struct GroupingInput {
  const Vectors& vectors;
  const std::vector<TimeSpan>& times;
  const std::vector<std::vector<Neighbor>>& neighbors;
};

// Documents of a group, in ascending order.
using Members = std::vector<uint32_t>;

// Joins `groups` (every document is in exactly one) while two are at least `threshold` similar. The result is in order
// of the groups' first members. A pure function: ties are decided by the documents' order. Its queue has at most two
// entries for each group that there was. `work`, where it is not null, is set to what it took.
std::vector<Members> Agglomerate(const GroupingInput& input, const AgglomerationOptions& options, double threshold,
                                 std::vector<Members> groups, AgglomerationWork* work = nullptr);

}  // namespace millrace
