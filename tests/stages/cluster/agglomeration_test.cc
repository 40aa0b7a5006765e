#include "server/stages/cluster/agglomeration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <tuple>

#include "server/base/random.h"

namespace millrace {
namespace {

struct Documents {
  Vectors vectors;
  std::vector<TimeSpan> times;
  std::vector<std::vector<Neighbor>> neighbors;

  GroupingInput input() const { return {vectors, times, neighbors}; }
  std::vector<Members> Alone() const {
    std::vector<Members> groups;
    for (uint32_t document = 0; document < vectors.size(); ++document) groups.push_back({document});
    return groups;
  }
};

// Documents of some words out of a few, each at a time of its own.
Documents RandomDocuments(uint64_t seed, const TimeRules& rules) {
  Random random(seed);
  Documents documents;
  for (int i = 0; i < 60; ++i) {
    std::vector<Feature> features;
    double square = 0;
    for (uint32_t term = 0; term < 12; ++term) {
      if (random.Below(3) != 0) continue;
      features.push_back({term, static_cast<float>(1 + random.Below(1000)) / 1000});
      square += static_cast<double>(features.back().weight) * features.back().weight;
    }
    for (Feature& feature : features) feature.weight /= static_cast<float>(std::sqrt(square));
    documents.vectors.Add(features);
    const auto micros = static_cast<int64_t>(random.Below(1000));
    documents.times.push_back({micros, micros});
  }
  documents.neighbors =
      FindNeighbors(documents.vectors, documents.times, rules, {.least_similarity = 0.1, .max_neighbors = 8});
  return documents;
}

// Agglomeration by its definition: compares all pairs of groups again for each join.
class Plain {
 public:
  Plain(const Documents& documents, const AgglomerationOptions& options) : documents_(documents), options_(options) {}

  std::vector<Members> Run(double threshold) const {
    std::vector<Members> groups = documents_.Alone();
    while (true) {
      std::optional<std::tuple<double, size_t, size_t>> best;
      for (size_t left = 0; left < groups.size(); ++left) {
        for (size_t right = left + 1; right < groups.size(); ++right) {
          const double similarity = Similarity(groups[left], groups[right]);
          if (similarity < threshold || (best && similarity <= std::get<0>(*best))) continue;
          best = {similarity, left, right};
        }
      }
      if (!best) return groups;
      const auto [similarity, left, right] = *best;
      groups[left].insert(groups[left].end(), groups[right].begin(), groups[right].end());
      std::sort(groups[left].begin(), groups[left].end());
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(right));
    }
  }

 private:
  std::optional<double> Near(uint32_t a, uint32_t b) const {
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      for (const Neighbor& neighbor : documents_.neighbors[from]) {
        if (neighbor.document == to) return neighbor.similarity;
      }
    }
    return std::nullopt;
  }

  // -1: never.
  double Similarity(const Members& left, const Members& right) const {
    double sum = 0;
    double most = -1;
    double least = 2;
    size_t near = 0;
    TimeSpan left_span;
    TimeSpan right_span;
    for (const uint32_t a : left) left_span = TimeSpan::Around(left_span, documents_.times[a]);
    for (const uint32_t b : right) right_span = TimeSpan::Around(right_span, documents_.times[b]);
    for (const uint32_t a : left) {
      for (const uint32_t b : right) {
        sum += Dot(documents_.vectors[a], documents_.vectors[b]);
        const std::optional<double> similarity = Near(a, b);
        if (!similarity) continue;
        ++near;
        most = std::max(most, *similarity);
        least = std::min(least, *similarity);
      }
    }
    const double time = options_.time.Factor(left_span, right_span);
    if (near == 0 || time <= 0) return -1;
    const auto pairs = static_cast<double>(left.size() * right.size());
    if (options_.linkage == Linkage::kSingle) return most;
    if (options_.linkage == Linkage::kComplete) return static_cast<double>(near) < pairs ? -1 : least;
    return sum / pairs * time;
  }

  const Documents& documents_;
  const AgglomerationOptions& options_;
};

TEST(AgglomerationTest, JoinsWhatItsDefinitionSays) {
  size_t joined = 0;
  for (const Linkage linkage : {Linkage::kAverage, Linkage::kSingle, Linkage::kComplete}) {
    for (const TimeRules& time : {TimeRules{}, TimeRules{.window_micros = 300}, TimeRules{.half_life_micros = 400}}) {
      for (uint64_t seed = 1; seed <= 10; ++seed) {
        const Documents documents = RandomDocuments(seed, time);
        AgglomerationOptions options;
        options.linkage = linkage;
        options.time = time;
        const std::vector<Members> groups = Agglomerate(documents.input(), options, 0.4, documents.Alone());
        EXPECT_EQ(groups, Plain(documents, options).Run(0.4)) << "seed " << seed;
        joined += documents.vectors.size() - groups.size();
      }
    }
  }
  EXPECT_GT(joined, 1000u);
}

// So many titles of eight words; each third one has a ninth of its own.
Documents NearCopies(uint32_t count) {
  Documents documents;
  for (uint32_t document = 0; document < count; ++document) {
    std::vector<Feature> features;
    for (uint32_t term = 0; term < 8; ++term) features.push_back({term, 0.34F});
    if (document % 3 == 0) features.push_back({8 + document, 0.27F});
    documents.vectors.Add(features);
  }
  documents.times.resize(count);
  documents.neighbors =
      FindNeighbors(documents.vectors, documents.times, {}, {.least_similarity = 0.1, .max_neighbors = 100});
  return documents;
}

TEST(AgglomerationTest, NearCopiesTakeLessThanAComparisonForEachPairAndAShortQueue) {
  constexpr uint32_t kCopies = 5000;
  const Documents documents = NearCopies(kCopies);
  AgglomerationWork work;
  const std::vector<Members> groups = Agglomerate(documents.input(), {}, 0.3, documents.Alone(), &work);
  EXPECT_EQ(groups.size(), 1u);
  EXPECT_EQ(work.joins, kCopies - 1);
  EXPECT_LT(work.comparisons, size_t{kCopies} * kCopies);
  EXPECT_LE(work.queued_max, 2 * kCopies);
}

TEST(AgglomerationTest, ComparesNothingOnceItIsStopped) {
  const Documents documents = NearCopies(100);
  const std::atomic<bool> stop = true;
  AgglomerationOptions options;
  options.stop = &stop;
  AgglomerationWork work;
  Agglomerate(documents.input(), options, 0.3, documents.Alone(), &work);
  EXPECT_EQ(work.comparisons, 0u);
  EXPECT_EQ(work.joins, 0u);
}

// The neighbours of each document by their definition.
std::vector<std::vector<Neighbor>> PlainNeighbors(const Documents& documents, const TimeRules& rules, double least,
                                                  size_t max) {
  std::vector<std::vector<Neighbor>> all(documents.vectors.size());
  for (uint32_t a = 0; a < documents.vectors.size(); ++a) {
    for (uint32_t b = 0; b < documents.vectors.size(); ++b) {
      const double similarity =
          Dot(documents.vectors[a], documents.vectors[b]) * rules.Factor(documents.times[a], documents.times[b]);
      if (a != b && similarity >= least) all[a].push_back({b, static_cast<float>(std::min(similarity, 1.0))});
    }
    std::stable_sort(all[a].begin(), all[a].end(),
                     [](const Neighbor& x, const Neighbor& y) { return x.similarity > y.similarity; });
    if (all[a].size() > max) all[a].resize(max);
  }
  return all;
}

TEST(NeighborsTest, CopiesOfATextHaveTheNeighborsThatASearchOfTheirOwnWouldFind) {
  const TimeRules rules{.window_micros = 500, .half_life_micros = 300};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Documents documents = RandomDocuments(seed, rules);
    Random random(seed);
    for (int i = 0; i < 60; ++i) {
      // At the same time as its original, or at another.
      const auto original = static_cast<uint32_t>(random.Below(documents.vectors.size()));
      const Vectors::Range vector = documents.vectors[original];
      documents.vectors.Add(std::vector<Feature>(vector.begin(), vector.end()));
      documents.times.push_back(documents.times[random.Chance(0.7) ? original : random.Below(60)]);
    }
    for (const size_t max : {size_t{5}, size_t{1000}}) {
      const auto neighbors =
          FindNeighbors(documents.vectors, documents.times, rules, {.least_similarity = 0.1, .max_neighbors = max});
      const auto plain = PlainNeighbors(documents, rules, 0.1, max);
      ASSERT_EQ(neighbors.size(), plain.size());
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(neighbors[i].size(), plain[i].size()) << "seed " << seed << ", document " << i;
        for (size_t j = 0; j < plain[i].size(); ++j) {
          EXPECT_NE(neighbors[i][j].document, i);
          EXPECT_NEAR(neighbors[i][j].similarity, plain[i][j].similarity, 1e-4);
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace
