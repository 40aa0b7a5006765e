#include "server/stages/cluster/agglomeration.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

namespace millrace {
namespace {

// A group with members near this one's. Groups that were joined since are still named by their old numbers; they are
// brought up to date when the list is next used.
struct Link {
  uint32_t group;
  float extreme;   // for single and complete linkage: the most or least similar of the pairs seen
  uint32_t pairs;  // pairs of members seen to be neighbours
};

struct Group {
  Members members;
  std::vector<Feature> sum;  // of the members' vectors
  double length = 0;         // of `sum`, squared
  double squares = 0;        // the members' squared lengths, summed
  TimeSpan span;
  std::vector<Link> links;
  uint32_t version = 0;  // raised when it grows
  bool alive = true;
};

// Two groups that may be joined, unless one has changed since.
struct Candidate {
  double similarity;
  uint32_t left;
  uint32_t right;
  uint32_t left_version;
  uint32_t right_version;

  // For a queue whose top is the most similar pair, the earliest among equals.
  bool operator<(const Candidate& other) const {
    if (similarity != other.similarity) return similarity < other.similarity;
    if (left != other.left) return left > other.left;
    return right > other.right;
  }
};

std::vector<Feature> SumOf(const std::vector<Feature>& a, const std::vector<Feature>& b) {
  std::vector<Feature> sum;
  sum.reserve(a.size() + b.size());
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() && right != b.end()) {
    if (left->term == right->term) {
      sum.push_back({left->term, left->weight + right->weight});
      ++left;
      ++right;
    } else {
      sum.push_back(left->term < right->term ? *left++ : *right++);
    }
  }
  sum.insert(sum.end(), left, a.end());
  sum.insert(sum.end(), right, b.end());
  return sum;
}

double SquaredLength(Vectors::Range vector) {
  double square = 0;
  for (const Feature& feature : vector) square += static_cast<double>(feature.weight) * feature.weight;
  return square;
}

class Agglomeration {
 public:
  Agglomeration(const GroupingInput& input, const AgglomerationOptions& options, double threshold)
      : input_(input),
        options_(options),
        threshold_(threshold),
        parents_(input.vectors.size()),
        weights_(input.vectors.terms()) {}

  std::vector<Members> Run(std::vector<Members> groups) {
    Found(std::move(groups));
    for (uint32_t number = 0; number < groups_.size(); ++number) {
      Refresh(number);
      Compare(number, number + 1);
    }
    while (!candidates_.empty()) {
      const Candidate candidate = candidates_.top();
      candidates_.pop();
      const Group& left = groups_[candidate.left];
      const Group& right = groups_[candidate.right];
      const bool stale = !left.alive || !right.alive || left.version != candidate.left_version ||
                         right.version != candidate.right_version;
      if (stale) continue;
      Join(candidate.left, candidate.right);
      Compare(candidate.left, 0);
    }
    return Take();
  }

 private:
  void Found(std::vector<Members> groups) {
    std::vector<uint32_t> group_of(input_.vectors.size());
    for (uint32_t number = 0; number < groups.size(); ++number) {
      parents_[number] = number;
      Group group;
      for (const uint32_t document : groups[number]) {
        group_of[document] = number;
        const Vectors::Range vector = input_.vectors[document];
        group.sum = SumOf(group.sum, {vector.begin(), vector.end()});
        group.squares += SquaredLength(vector);
        group.span = TimeSpan::Around(group.span, input_.times[document]);
      }
      group.members = std::move(groups[number]);
      Measure(group);
      groups_.push_back(std::move(group));
    }
    // A pair is a link of both, also where only one of them has the other among its nearest.
    for (uint32_t document = 0; document < input_.neighbors.size(); ++document) {
      for (const Neighbor& neighbor : input_.neighbors[document]) {
        if (document > neighbor.document && Lists(neighbor.document, document)) continue;
        const uint32_t left = group_of[document];
        const uint32_t right = group_of[neighbor.document];
        if (left == right) continue;
        groups_[left].links.push_back({right, neighbor.similarity, 1});
        groups_[right].links.push_back({left, neighbor.similarity, 1});
      }
    }
  }

  // Whether `other` is among the nearest of `document`.
  bool Lists(uint32_t document, uint32_t other) const {
    for (const Neighbor& neighbor : input_.neighbors[document]) {
      if (neighbor.document == other) return true;
    }
    return false;
  }

  static void Measure(Group& group) {
    group.length = SquaredLength({group.sum.data(), group.sum.data() + group.sum.size()});
  }

  uint32_t Root(uint32_t number) {
    while (parents_[number] != number) {
      parents_[number] = parents_[parents_[number]];
      number = parents_[number];
    }
    return number;
  }

  // Brings the links of a group up to date, one for each other group, in order of number.
  void Refresh(uint32_t number) {
    std::vector<Link>& links = groups_[number].links;
    for (Link& link : links) link.group = Root(link.group);
    std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) {
      return a.group != b.group ? a.group < b.group : a.extreme < b.extreme;
    });
    size_t out = 0;
    for (const Link& link : links) {
      if (link.group == number) continue;
      if (out > 0 && links[out - 1].group == link.group) {
        Link& kept = links[out - 1];
        kept.pairs += link.pairs;
        if (options_.linkage == Linkage::kSingle) kept.extreme = std::max(kept.extreme, link.extreme);
      } else {
        links[out++] = link;
      }
    }
    links.resize(out);
  }

  // Makes candidates of a group and those linked to it from number `least` on.
  void Compare(uint32_t number, uint32_t least) {
    const Group& group = groups_[number];
    const bool sums = options_.linkage == Linkage::kAverage;
    if (sums) {
      for (const Feature& feature : group.sum) weights_[feature.term] = feature.weight;
    }
    for (const Link& link : group.links) {
      if (link.group < least) continue;
      const Group& other = groups_[link.group];
      const double time = options_.time.Factor(group.span, other.span);
      if (time <= 0) continue;
      const double similarity = sums ? MeanSimilarity(group, other) * time : ExtremeSimilarity(group, other, link);
      if (similarity < threshold_) continue;
      const uint32_t left = std::min(number, link.group);
      const uint32_t right = std::max(number, link.group);
      candidates_.push({similarity, left, right, groups_[left].version, groups_[right].version});
    }
    if (sums) {
      for (const Feature& feature : group.sum) weights_[feature.term] = 0;
    }
  }

  // `weights_` holds the sum of `group`.
  double MeanSimilarity(const Group& group, const Group& other) const {
    double dot = 0;
    for (const Feature& feature : other.sum) dot += static_cast<double>(weights_[feature.term]) * feature.weight;
    const auto left = static_cast<double>(group.members.size());
    const auto right = static_cast<double>(other.members.size());
    const double mean = dot / (left * right);
    if (options_.cohesion <= 0) return mean;
    return mean / std::pow(WithinOf(group) * WithinOf(other), options_.cohesion / 2);
  }

  // The mean over all pairs within a group, each member with itself included, over that of each with itself: so the
  // longer vectors of short texts, which make them comparable to long ones, stay longer.
  static double WithinOf(const Group& group) {
    return group.length / (static_cast<double>(group.members.size()) * group.squares);
  }

  double ExtremeSimilarity(const Group& group, const Group& other, const Link& link) const {
    // A pair that is not among the neighbours is below every threshold.
    const size_t pairs = group.members.size() * other.members.size();
    return options_.linkage == Linkage::kComplete && link.pairs < pairs ? 0 : link.extreme;
  }

  // The right group's members go to the left one, which has the earlier first member.
  void Join(uint32_t left, uint32_t right) {
    Group& group = groups_[left];
    Group& other = groups_[right];
    group.members.insert(group.members.end(), other.members.begin(), other.members.end());
    group.sum = SumOf(group.sum, other.sum);
    Measure(group);
    group.squares += other.squares;
    group.span = TimeSpan::Around(group.span, other.span);
    group.links.insert(group.links.end(), other.links.begin(), other.links.end());
    ++group.version;
    other = Group();
    other.alive = false;
    parents_[right] = left;
    Refresh(left);
  }

  std::vector<Members> Take() {
    std::vector<Members> groups;
    for (Group& group : groups_) {
      if (!group.alive) continue;
      std::sort(group.members.begin(), group.members.end());
      groups.push_back(std::move(group.members));
    }
    return groups;
  }

  const GroupingInput& input_;
  const AgglomerationOptions& options_;
  const double threshold_;
  std::vector<Group> groups_;
  std::vector<uint32_t> parents_;  // of groups that were joined: the group that has them now
  std::vector<float> weights_;     // by term: the sum of the group at work; zero between
  std::priority_queue<Candidate> candidates_;
};

}  // namespace

std::vector<Members> Agglomerate(const GroupingInput& input, const AgglomerationOptions& options, double threshold,
                                 std::vector<Members> groups) {
  return Agglomeration(input, options, threshold).Run(std::move(groups));
}

}  // namespace millrace
