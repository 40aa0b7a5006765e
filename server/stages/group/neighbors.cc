#include "server/stages/group/neighbors.h"

#include <algorithm>
#include <numeric>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"

namespace millrace {
namespace {

// Entry of a document in the list of a term.
struct Posting {
  uint32_t document;
  float weight;
};

class Search {
 public:
  Search(const Vectors& vectors, const std::vector<TimeSpan>& times, const TimeRules& rules,
         const NeighborOptions& options)
      : vectors_(vectors), times_(times), rules_(rules), options_(options) {
    postings_.resize(vectors.terms());
    heaviest_.resize(vectors.terms());
    sums_.resize(vectors.size());
    query_.resize(vectors.terms());
    // Sorts by time, so that documents near a given time are one range of each list. Documents without a time come
    // first.
    std::vector<uint32_t> order(vectors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) { return Start(a) < Start(b); });
    double longest = 0;
    for (const uint32_t document : order) {
      double length = 0;
      for (const Feature& feature : vectors[document]) {
        postings_[feature.term].push_back({document, feature.weight});
        heaviest_[feature.term] = std::max(heaviest_[feature.term], feature.weight);
        length += static_cast<double>(feature.weight) * feature.weight;
      }
      longest = std::max(longest, length);
    }
    reach_ = rules.Reach(longest, options.least_similarity);
  }

  // Returns the neighbours of a document, itself among them, so one more than max_neighbors.
  std::vector<Neighbor> Find(uint32_t document) {
    const Vectors::Range vector = vectors_[document];
    SplitByBound(vector);
    found_.clear();
    for (const Feature& feature : searched_) SumPostings(feature, document);
    for (const Feature& feature : rest_) query_[feature.term] = feature.weight;
    std::vector<Neighbor> neighbors;
    for (const uint32_t other : found_) {
      double similarity = sums_[other];
      sums_[other] = 0;
      if (similarity + rest_bound_ < options_.least_similarity) continue;
      if (!rest_.empty()) {
        for (const Feature& feature : vectors_[other]) {
          similarity += static_cast<double>(query_[feature.term]) * feature.weight;
        }
      }
      if (similarity < options_.least_similarity) continue;
      similarity *= rules_.Factor(times_[document], times_[other]);
      if (similarity < options_.least_similarity) continue;
      neighbors.push_back({other, static_cast<float>(std::min(similarity, 1.0))});
    }
    for (const Feature& feature : rest_) query_[feature.term] = 0;
    KeepNearest(neighbors, options_.max_neighbors + 1);
    return neighbors;
  }

 private:
  int64_t Start(uint32_t document) const { return times_[document].known() ? times_[document].first : INT64_MIN; }

  void SumPostings(const Feature& feature, uint32_t document) {
    const std::vector<Posting>& postings = postings_[feature.term];
    const auto sum = [&](auto begin, auto end) {
      for (auto posting = begin; posting != end; ++posting) {
        if (sums_[posting->document] == 0) found_.push_back(posting->document);
        sums_[posting->document] += feature.weight * posting->weight;
      }
    };
    const int64_t start = Start(document);
    if (reach_ == INT64_MAX || start == INT64_MIN) return sum(postings.begin(), postings.end());
    const auto before = [this](const Posting& posting, int64_t time) { return Start(posting.document) < time; };
    const auto after = [this](int64_t time, const Posting& posting) { return time < Start(posting.document); };
    const auto timed = std::upper_bound(postings.begin(), postings.end(), INT64_MIN, after);
    sum(postings.begin(), timed);
    const auto near = std::lower_bound(timed, postings.end(), start - reach_, before);
    sum(near, std::upper_bound(near, postings.end(), start + reach_, after));
  }

  // Splits a document's words. The most frequent ones, which alone can't make a pair similar enough, need no search.
  void SplitByBound(Vectors::Range vector) {
    searched_.assign(vector.begin(), vector.end());
    std::sort(searched_.begin(), searched_.end(), [this](const Feature& a, const Feature& b) {
      const size_t left = postings_[a.term].size();
      const size_t right = postings_[b.term].size();
      return left != right ? left < right : a.term < b.term;
    });
    rest_.clear();
    rest_bound_ = 0;
    while (!searched_.empty()) {
      const Feature& last = searched_.back();
      const double more = static_cast<double>(last.weight) * heaviest_[last.term];
      if (rest_bound_ + more >= options_.least_similarity) break;
      rest_bound_ += more;
      rest_.push_back(last);
      searched_.pop_back();
    }
  }

  static void KeepNearest(std::vector<Neighbor>& neighbors, size_t max) {
    const auto nearer = [](const Neighbor& a, const Neighbor& b) {
      return a.similarity != b.similarity ? a.similarity > b.similarity : a.document < b.document;
    };
    if (neighbors.size() > max) {
      const auto end = neighbors.begin() + static_cast<std::ptrdiff_t>(max);
      std::nth_element(neighbors.begin(), end, neighbors.end(), nearer);
      neighbors.erase(end, neighbors.end());
    }
    std::sort(neighbors.begin(), neighbors.end(), nearer);
    neighbors.shrink_to_fit();
  }

  const Vectors& vectors_;
  const std::vector<TimeSpan>& times_;
  const TimeRules& rules_;
  const NeighborOptions& options_;
  int64_t reach_ = INT64_MAX;  // largest distance in time at which documents may be similar enough
  std::vector<std::vector<Posting>> postings_;
  std::vector<float> heaviest_;  // by term: largest weight in any document
  std::vector<float> sums_;      // by document: similarity so far; 0 between searches
  std::vector<float> query_;     // by term: weights of `rest_`; 0 between searches
  std::vector<uint32_t> found_;
  std::vector<Feature> searched_;
  std::vector<Feature> rest_;
  double rest_bound_ = 0;
};

// Returns for each document the first one with an equal vector and an equal time. Inputs may have thousands of copies
// of one title, which are searched once.
std::vector<uint32_t> FindOriginals(const Vectors& vectors, const std::vector<TimeSpan>& times) {
  const auto same = [&](uint32_t a, uint32_t b) {
    const auto equal = [](const Feature& x, const Feature& y) { return x.term == y.term && x.weight == y.weight; };
    return times[a].first == times[b].first && times[a].last == times[b].last &&
           std::equal(vectors[a].begin(), vectors[a].end(), vectors[b].begin(), vectors[b].end(), equal);
  };
  const auto hash = [&](uint32_t document) {
    size_t sum = absl::HashOf(times[document].first, times[document].last);
    for (const Feature& feature : vectors[document]) sum = absl::HashOf(sum, feature.term, feature.weight);
    return sum;
  };
  absl::flat_hash_set<uint32_t, decltype(hash), decltype(same)> seen(0, hash, same);
  std::vector<uint32_t> originals(vectors.size());
  for (uint32_t document = 0; document < vectors.size(); ++document) originals[document] = *seen.insert(document).first;
  return originals;
}

// Returns a list without the document itself, cut at `max`.
std::vector<Neighbor> Others(const std::vector<Neighbor>& nearest, uint32_t document, size_t max) {
  std::vector<Neighbor> others;
  others.reserve(std::min(nearest.size(), max));
  for (const Neighbor& neighbor : nearest) {
    if (neighbor.document != document && others.size() < max) others.push_back(neighbor);
  }
  return others;
}

}  // namespace

std::vector<std::vector<Neighbor>> FindNeighbors(const Vectors& vectors, const std::vector<TimeSpan>& times,
                                                 const TimeRules& rules, const NeighborOptions& options) {
  Search search(vectors, times, rules, options);
  const std::vector<uint32_t> originals = FindOriginals(vectors, times);
  std::vector<size_t> copies(vectors.size());
  for (const uint32_t original : originals) ++copies[original];
  // Neighbours of originals that have further copies.
  absl::flat_hash_map<uint32_t, std::vector<Neighbor>> found;
  std::vector<std::vector<Neighbor>> neighbors(vectors.size());
  for (uint32_t document = 0; document < vectors.size(); ++document) {
    if (options.stop != nullptr && options.stop->load(std::memory_order_relaxed)) break;
    const uint32_t original = originals[document];
    std::vector<Neighbor>& nearest = found[original];
    if (document == original) nearest = search.Find(document);
    neighbors[document] = Others(nearest, document, options.max_neighbors);
    if (--copies[original] == 0) found.erase(original);
  }
  return neighbors;
}

}  // namespace millrace
