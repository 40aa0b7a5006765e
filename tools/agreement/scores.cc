#include "tools/agreement/scores.h"

#include <map>
#include <numeric>
#include <set>

namespace millrace {
namespace {

constexpr size_t kFamily = 3;

double Pairs(size_t n) { return static_cast<double>(n) * (static_cast<double>(n) - 1) / 2; }

double Harmonic(double a, double b) { return a + b > 0 ? 2 * a * b / (a + b) : 0; }

std::vector<size_t> SizesOf(const Labels& labels) {
  std::vector<size_t> sizes;
  for (const int label : labels) {
    if (static_cast<size_t>(label) >= sizes.size()) sizes.resize(static_cast<size_t>(label) + 1);
    ++sizes[static_cast<size_t>(label)];
  }
  return sizes;
}

}  // namespace

Labels LabelsOf(const std::vector<std::string>& names) {
  std::map<std::string, int> numbers;
  Labels labels;
  int next = 0;
  for (const std::string& name : names) {
    const auto [at, fresh] = name.empty() ? std::pair(numbers.end(), true) : numbers.try_emplace(name, next);
    labels.push_back(fresh ? next++ : at->second);
  }
  return labels;
}

Labels EachAlone(size_t items) {
  Labels labels(items);
  std::iota(labels.begin(), labels.end(), 0);
  return labels;
}

Scores ScoresOf(const Labels& found, const Labels& truth) {
  Scores scores;
  if (found.empty()) return scores;
  const std::vector<size_t> found_sizes = SizesOf(found);
  const std::vector<size_t> true_sizes = SizesOf(truth);
  std::map<std::pair<int, int>, size_t> both;
  for (size_t i = 0; i < found.size(); ++i) ++both[{found[i], truth[i]}];
  double together = 0;
  std::set<int> matched;
  for (const auto& [labels, count] : both) {
    const size_t of_found = found_sizes[static_cast<size_t>(labels.first)];
    const size_t of_truth = true_sizes[static_cast<size_t>(labels.second)];
    const auto square = static_cast<double>(count) * static_cast<double>(count);
    scores.precision += square / static_cast<double>(of_found);
    scores.recall += square / static_cast<double>(of_truth);
    together += Pairs(count);
    if (of_truth >= kFamily && 2 * count > of_found + of_truth - count) matched.insert(labels.second);
  }
  const auto items = static_cast<double>(found.size());
  scores.precision /= items;
  scores.recall /= items;
  scores.f1 = Harmonic(scores.precision, scores.recall);
  double found_pairs = 0;
  double true_pairs = 0;
  for (const size_t size : found_sizes) {
    found_pairs += Pairs(size);
    scores.found += size >= kFamily ? 1 : 0;
    if (size >= 2) scores.assigned += static_cast<double>(size) / items;
  }
  for (const size_t size : true_sizes) {
    true_pairs += Pairs(size);
    scores.truth += size >= kFamily ? 1 : 0;
  }
  if (found_pairs > 0 && true_pairs > 0) scores.pairwise_f1 = Harmonic(together / found_pairs, together / true_pairs);
  scores.matched = matched.size();
  return scores;
}

}  // namespace millrace
