#include "server/stages/cluster/grouping.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// Factor of the threshold below which documents are not neighbours. It is below 1, because two groups may be similar
// enough although no two members are: their sums may be (cohesion), or more than two groups may be joined.
constexpr double kBelowThreshold = 0.5;

// Bytes of a neighbour, and of its links in both directions.
constexpr size_t kNeighborBytes = 8 + 2 * 16;
// Bytes of a posting, of an entry of a group's sum, and of room for sums that grow.
constexpr size_t kFeatureBytes = 8 + 8 + 8;
// Bytes of a group, its lists, and its part of the queue.
constexpr size_t kDocumentBytes = 384;

// Dissolves groups that this pass has made and that are too small. Groups of earlier passes stay.
std::vector<Members> Dissolve(std::vector<Members> groups, size_t min_size, const std::vector<bool>& settled) {
  std::vector<Members> kept;
  for (Members& members : groups) {
    const bool old = std::any_of(members.begin(), members.end(), [&](uint32_t place) { return settled[place]; });
    if (old || members.size() == 1 || members.size() >= min_size) {
      kept.push_back(std::move(members));
    } else {
      for (const uint32_t place : members) kept.push_back({place});
    }
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

std::vector<Members> GroupPartition(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                    const GroupingOptions& options) {
  double least = 1;
  for (const GroupingPass& pass : options.passes) least = std::min(least, pass.threshold);
  const NeighborOptions near = {.least_similarity = least * kBelowThreshold,
                                .max_neighbors = options.max_neighbors,
                                .stop = options.agglomeration.stop};
  const std::vector<std::vector<Neighbor>> neighbors = FindNeighbors(vectors, times, options.agglomeration.time, near);
  std::vector<Members> groups;
  for (uint32_t document = 0; document < vectors.size(); ++document) groups.push_back({document});
  std::vector<bool> settled(vectors.size());  // true for documents in a group of an earlier pass
  for (const GroupingPass& pass : options.passes) {
    if (near.stop != nullptr && near.stop->load(std::memory_order_relaxed)) break;
    const GroupingInput input = {vectors, times, neighbors};
    groups =
        Dissolve(Agglomerate(input, options.agglomeration, pass.threshold, std::move(groups)), pass.min_size, settled);
    for (const Members& members : groups) {
      for (const uint32_t document : members) settled[document] = members.size() > 1;
    }
  }
  return groups;
}

// Returns the vectors of some documents with new, dense numbers of terms. Otherwise arrays by term would have the
// length of the whole corpus for each of many small partitions.
Vectors Part(const Vectors& vectors, const std::vector<uint32_t>& documents) {
  std::vector<uint32_t> terms;
  for (const uint32_t document : documents) {
    for (const Feature& feature : vectors[document]) terms.push_back(feature.term);
  }
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  Vectors part;
  std::vector<Feature> features;
  for (const uint32_t document : documents) {
    features.assign(vectors[document].begin(), vectors[document].end());
    for (Feature& feature : features) {
      feature.term = static_cast<uint32_t>(std::lower_bound(terms.begin(), terms.end(), feature.term) - terms.begin());
    }
    part.Add(features);
  }
  return part;
}

}  // namespace

std::vector<Members> GroupDocuments(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                    const std::vector<uint32_t>& partitions, const GroupingOptions& options) {
  std::vector<std::vector<uint32_t>> documents;
  for (uint32_t document = 0; document < partitions.size(); ++document) {
    if (partitions[document] >= documents.size()) documents.resize(partitions[document] + 1);
    documents[partitions[document]].push_back(document);
  }
  if (documents.size() == 1) return GroupPartition(vectors, times, options);
  std::vector<Members> groups;
  for (const std::vector<uint32_t>& partition : documents) {
    std::vector<TimeSpan> part_times;
    for (const uint32_t document : partition) part_times.push_back(times[document]);
    for (Members& members : GroupPartition(Part(vectors, partition), part_times, options)) {
      for (uint32_t& member : members) member = partition[member];
      groups.push_back(std::move(members));
    }
  }
  std::sort(groups.begin(), groups.end());
  return groups;
}

size_t GroupingBytes(size_t documents, size_t features, size_t max_neighbors) {
  const size_t neighbors = documents * std::min(max_neighbors, documents);
  return neighbors * kNeighborBytes + features * kFeatureBytes + documents * kDocumentBytes;
}

}  // namespace millrace
