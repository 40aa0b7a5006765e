#include "tests/bench/plain_baseline.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace millrace {
namespace {

// Returns the words: sequences of ASCII letters, in lower case, and digits. Bytes that are not ASCII count as letters.
std::vector<std::string> WordsOf(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || byte >= 0x80) {
      words.back().push_back(static_cast<char>(byte < 0x80 ? std::tolower(byte) : byte));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// Similarities of all pairs, as one float each.
class Triangle {
 public:
  explicit Triangle(size_t n) : cells_(n * (n - 1) / 2) {}
  float& at(size_t a, size_t b) {
    if (a < b) std::swap(a, b);
    return cells_[a * (a - 1) / 2 + b];
  }

 private:
  std::vector<float> cells_;
};

Triangle Cosines(const std::vector<std::string>& texts) {
  std::vector<std::map<std::string, double>> vectors;
  std::map<std::string, double> documents;
  for (const std::string& text : texts) {
    std::map<std::string, double> counts;
    for (const std::string& word : WordsOf(text)) ++counts[word];
    for (const auto& [word, count] : counts) ++documents[word];
    vectors.push_back(std::move(counts));
  }
  std::map<std::string, std::vector<std::pair<size_t, float>>> index;
  for (size_t i = 0; i < vectors.size(); ++i) {
    double norm = 0;
    for (auto& [word, weight] : vectors[i]) {
      weight *= std::log(static_cast<double>(texts.size()) / documents[word]);
      norm += weight * weight;
    }
    for (const auto& [word, weight] : vectors[i]) {
      if (weight > 0) index[word].emplace_back(i, static_cast<float>(weight / std::sqrt(norm)));
    }
  }
  Triangle cosines(texts.size());
  for (const auto& [word, postings] : index) {
    for (size_t a = 0; a < postings.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        cosines.at(postings[a].first, postings[b].first) += postings[a].second * postings[b].second;
      }
    }
  }
  return cosines;
}

}  // namespace

// Follows chains of nearest neighbours. Average linkage is reducible, so joins of two groups that are nearest to each
// other give the tree that joins of the nearest groups of all would give.
std::vector<Joining> PlainTree(const std::vector<std::string>& texts) {
  const size_t n = texts.size();
  std::vector<Joining> tree;
  if (n < 2) return tree;
  Triangle similarity = Cosines(texts);
  std::vector<double> sizes(n, 1);
  std::vector<size_t> alive(n);
  std::iota(alive.begin(), alive.end(), size_t{0});
  std::vector<size_t> chain;
  while (alive.size() > 1) {
    if (chain.empty()) chain.push_back(alive.front());
    const size_t last = chain.back();
    const size_t before = chain.size() > 1 ? chain[chain.size() - 2] : last;
    size_t nearest = before;
    float best = before == last ? -1 : similarity.at(last, before);
    for (const size_t other : alive) {
      if (other != last && similarity.at(last, other) > best) {
        best = similarity.at(last, other);
        nearest = other;
      }
    }
    if (nearest != before || before == last) {
      chain.push_back(nearest);
      continue;
    }
    chain.resize(chain.size() - 2);
    tree.push_back({best, before, last});
    const double together = sizes[before] + sizes[last];
    for (const size_t other : alive) {
      if (other == before || other == last) continue;
      const double sum = similarity.at(before, other) * sizes[before] + similarity.at(last, other) * sizes[last];
      similarity.at(before, other) = static_cast<float>(sum / together);
    }
    sizes[before] = together;
    alive.erase(std::lower_bound(alive.begin(), alive.end(), last));
  }
  std::stable_sort(tree.begin(), tree.end(),
                   [](const Joining& a, const Joining& b) { return a.similarity > b.similarity; });
  return tree;
}

Labels CutAt(const std::vector<Joining>& tree, size_t items, double threshold) {
  std::vector<size_t> parents(items);
  std::iota(parents.begin(), parents.end(), size_t{0});
  const auto root = [&](size_t item) {
    while (parents[item] != item) item = parents[item] = parents[parents[item]];
    return item;
  };
  for (const Joining& joining : tree) {
    if (joining.similarity < threshold) break;
    parents[root(joining.right)] = root(joining.left);
  }
  Labels labels;
  std::map<size_t, int> numbers;
  for (size_t i = 0; i < items; ++i) {
    labels.push_back(numbers.try_emplace(root(i), static_cast<int>(numbers.size())).first->second);
  }
  return labels;
}

}  // namespace millrace
