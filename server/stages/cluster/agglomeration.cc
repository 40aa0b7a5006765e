#include "server/stages/cluster/agglomeration.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

namespace millrace {
namespace {

// Link to a group with members near those of this group. It may have the old number of a group that has been joined to
// another; Refresh updates it when this group grows.
struct Link {
  uint32_t group;
  uint32_t pairs;     // number of pairs of members that are neighbours
  double similarity;  // of the groups when they were last compared; before that, of two members

  // Orders a heap so that its top is the most similar group, and the earliest of equals.
  bool operator<(const Link& other) const {
    return similarity != other.similarity ? similarity < other.similarity : group > other.group;
  }
};

struct Group {
  Members members;
  std::vector<Feature> sum;  // sum of the members' vectors
  double length = 0;         // squared length of `sum`
  double squares = 0;        // sum of the members' squared lengths
  TimeSpan span;
  std::vector<Link> links;
  uint32_t candidates = 0;  // number of links, from the first, that are a heap of groups that may still be joined
  uint32_t grown = 0;       // number of the join by which it last grew
  bool alive = true;
};

// Best candidate of a group. It is outdated if one of the two groups has changed since.
struct Candidate {
  double similarity;
  uint32_t left;
  uint32_t right;
  uint32_t owner;  // the group, out of left and right, that has the pair among its candidates
  uint32_t grown;  // `grown` of the owner at that time

  // Orders a queue so that its top is the most similar pair, and the earliest of equals.
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
        places_(input.vectors.size(), kNowhere),
        weights_(input.vectors.terms()) {}

  std::vector<Members> Run(std::vector<Members> groups) {
    Found(std::move(groups));
    for (uint32_t number = 0; number < groups_.size() && !stopped(); ++number) {
      Refresh(number);
      Compare(number);
    }
    while (!queue_.empty() && !stopped()) {
      const Candidate candidate = queue_.top();
      queue_.pop();
      const Group& owner = groups_[candidate.owner];
      if (!owner.alive || owner.grown != candidate.grown) continue;
      const uint32_t other = candidate.owner == candidate.left ? candidate.right : candidate.left;
      if (Owns(candidate.owner, other)) {
        Join(candidate.left, candidate.right);
        Compare(candidate.left);
      } else {
        Offer(candidate.owner);
      }
    }
    return Take();
  }

  const AgglomerationWork& work() const { return work_; }

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;

  bool stopped() const { return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed); }

  void Found(std::vector<Members> groups) {
    std::vector<uint32_t> group_of(input_.vectors.size());
    groups_.reserve(groups.size());
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
    // Reserves exactly the links that are added here, because all lists together never become longer.
    std::vector<uint32_t> links(groups_.size());
    for (uint32_t document = 0; document < input_.neighbors.size(); ++document) {
      for (const Neighbor& neighbor : input_.neighbors[document]) {
        ++links[group_of[document]];
        ++links[group_of[neighbor.document]];
      }
    }
    for (uint32_t number = 0; number < groups_.size(); ++number) groups_[number].links.reserve(links[number]);
    // A pair is a link of both groups, even if only one document has the other among its nearest.
    for (uint32_t document = 0; document < input_.neighbors.size(); ++document) {
      for (const Neighbor& neighbor : input_.neighbors[document]) {
        if (document > neighbor.document && Lists(neighbor.document, document)) continue;
        const uint32_t left = group_of[document];
        const uint32_t right = group_of[neighbor.document];
        if (left == right) continue;
        groups_[left].links.push_back({right, 1, neighbor.similarity});
        groups_[right].links.push_back({left, 1, neighbor.similarity});
      }
    }
  }

  // Returns true if `other` is among the nearest of `document`.
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

  // Updates the links of a group: current numbers, and one link for each other group.
  void Refresh(uint32_t number) {
    std::vector<Link>& links = groups_[number].links;
    uint32_t out = 0;
    for (Link link : links) {
      link.group = Root(link.group);
      if (link.group == number) continue;
      uint32_t& place = places_[link.group];
      if (place == kNowhere) {
        place = out;
        links[out++] = link;
        continue;
      }
      Link& kept = links[place];
      kept.pairs += link.pairs;
      kept.similarity = options_.linkage == Linkage::kSingle ? std::max(kept.similarity, link.similarity)
                                                             : std::min(kept.similarity, link.similarity);
    }
    links.resize(out);
    for (const Link& link : links) places_[link.group] = kNowhere;
  }

  // Returns true if a pair belongs to the candidates of `number`: it belongs to the group that grew last, or to the
  // earlier one if neither has grown. So a pair is compared once, and a group that grows changes no other group.
  bool Owns(uint32_t number, uint32_t other) const {
    if (!groups_[other].alive) return false;
    const uint32_t grown = groups_[number].grown;
    return grown != groups_[other].grown ? grown > groups_[other].grown : number < other;
  }

  // Finds the candidates of a group. REQUIRES: its links are updated.
  void Compare(uint32_t number) {
    Group& group = groups_[number];
    const bool sums = options_.linkage == Linkage::kAverage;
    if (sums) {
      for (const Feature& feature : group.sum) weights_[feature.term] = feature.weight;
    }
    group.candidates = 0;
    for (Link& link : group.links) {
      if (!Owns(number, link.group)) continue;
      const Group& other = groups_[link.group];
      const double time = options_.time.Factor(group.span, other.span);
      if (time <= 0) continue;
      ++work_.comparisons;
      link.similarity = sums ? MeanSimilarity(group, other) * time : ExtremeSimilarity(group, other, link);
      if (link.similarity >= threshold_) std::swap(link, group.links[group.candidates++]);
    }
    if (sums) {
      for (const Feature& feature : group.sum) weights_[feature.term] = 0;
    }
    std::make_heap(group.links.begin(), group.links.begin() + group.candidates);
    Offer(number);
  }

  // Queues the best candidate of a group only, because a queue of all candidates would grow with the square of the
  // groups.
  void Offer(uint32_t number) {
    Group& group = groups_[number];
    while (group.candidates > 0) {
      const Link& best = group.links.front();
      if (Owns(number, best.group)) {
        queue_.push({best.similarity, std::min(number, best.group), std::max(number, best.group), number, group.grown});
        work_.queued_max = std::max(work_.queued_max, queue_.size());
        return;
      }
      std::pop_heap(group.links.begin(), group.links.begin() + group.candidates);
      --group.candidates;
    }
  }

  // Returns the similarity for average linkage. REQUIRES: weights_ has the sum of `group`.
  double MeanSimilarity(const Group& group, const Group& other) const {
    double dot = 0;
    for (const Feature& feature : other.sum) dot += static_cast<double>(weights_[feature.term]) * feature.weight;
    const auto left = static_cast<double>(group.members.size());
    const auto right = static_cast<double>(other.members.size());
    const double mean = dot / (left * right);
    if (options_.cohesion <= 0) return mean;
    return mean / std::pow(WithinOf(group) * WithinOf(other), options_.cohesion / 2);
  }

  // Returns the mean product of all pairs within a group, including each member with itself, divided by the mean
  // product of each member with itself. The division keeps the greater length of short texts' vectors, which makes them
  // comparable to long ones.
  static double WithinOf(const Group& group) {
    return group.length / (static_cast<double>(group.members.size()) * group.squares);
  }

  double ExtremeSimilarity(const Group& group, const Group& other, const Link& link) const {
    // A pair of members that are not neighbours is below every threshold, and remains a pair of the joined groups.
    const size_t pairs = group.members.size() * other.members.size();
    return options_.linkage == Linkage::kComplete && link.pairs < pairs ? 0 : link.similarity;
  }

  // Moves the members of the right group to the left one, which has the earlier first member.
  void Join(uint32_t left, uint32_t right) {
    Group& group = groups_[left];
    Group& other = groups_[right];
    group.members.insert(group.members.end(), other.members.begin(), other.members.end());
    group.sum = SumOf(group.sum, other.sum);
    Measure(group);
    group.squares += other.squares;
    group.span = TimeSpan::Around(group.span, other.span);
    std::vector<Link> links;
    links.reserve(group.links.size() + other.links.size());
    links.insert(links.end(), group.links.begin(), group.links.end());
    links.insert(links.end(), other.links.begin(), other.links.end());
    group.links = std::move(links);
    group.grown = static_cast<uint32_t>(++work_.joins);
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
  std::vector<uint32_t> parents_;  // by group: the group to which it was joined, or itself
  std::vector<uint32_t> places_;   // by group: position of its link during Refresh; else kNowhere
  std::vector<float> weights_;     // by term: sum of the group during Compare; else 0
  std::priority_queue<Candidate> queue_;
  AgglomerationWork work_;
};

}  // namespace

std::vector<Members> Agglomerate(const GroupingInput& input, const AgglomerationOptions& options, double threshold,
                                 std::vector<Members> groups, AgglomerationWork* work) {
  Agglomeration agglomeration(input, options, threshold);
  std::vector<Members> joined = agglomeration.Run(std::move(groups));
  if (work != nullptr) *work = agglomeration.work();
  return joined;
}

}  // namespace millrace
