#include "server/stages/merge/merging.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <utility>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/work_meter.h"
#include "server/stages/group/comparable_text.h"
#include "server/stages/group/neighbors.h"
#include "server/stages/stop_flag.h"

namespace millrace {
namespace {

constexpr double kDefaultSimilarity = 0.3;
constexpr int32_t kDefaultCandidates = 20;
constexpr int64_t kDefaultMemory = int64_t{1} << 30;
// Bytes of a side besides its texts, with its candidates and decisions.
constexpr size_t kSideBytes = 600;
// Bytes of parsed JSON for each byte of its text.
constexpr size_t kParsed = 4;
constexpr size_t kMaxNotes = 20;

// Returns the members of an item, in order. An item without a list of members is its only member.
std::vector<std::string> MembersOf(const json::value& item, const std::string& id) {
  std::vector<std::string> members;
  const json::value* list = FindPath(item, "members");
  if (list == nullptr || !list->is_array()) return {id};
  for (const json::value& member : list->get_array()) {
    if (const json::string* text = IfText(member)) members.emplace_back(text->data(), text->size());
  }
  return members;
}

}  // namespace

Merging::Merging(const v1::Merge& merge, PairRules rules)
    : merge_(merge), rules_(std::move(rules)), keep_(merge.keep()), corpus_(FeatureOptions{}) {}

Status Merging::CheckMemory() const {
  const size_t features = corpus_.features() * 3 * sizeof(Feature);
  const auto limit = static_cast<size_t>(merge_.max_memory() > 0 ? merge_.max_memory() : kDefaultMemory);
  const size_t bytes = corpus_.bytes() + features + bytes_;
  if (bytes <= limit) return absl::OkStatus();
  return MakeError(Reason::kMemoryLimit, fmt::format("merging {} items would take about {} MiB, max_memory is {} MiB",
                                                     sides_.size(), bytes >> 20, limit >> 20));
}

Status Merging::Add(const std::vector<InputItem>& items) {
  for (const InputItem& item : items) {
    MR_ASSIGN_OR_RETURN(const json::value value, ParseExact(*item.json));
    AddToCorpus(merge_.fields(), value, corpus_);
    Side side;
    side.id = item.id;
    side.degraded = item.degraded;
    side.members = std::max<size_t>(1, MembersOf(value, item.id).size());
    Oddities oddities;
    side.facts = rules_.Side(value, oddities);
    keep_.Take(value, &oddities);
    oddities_.Count(oddities);
    bytes_ += kSideBytes + 2 * item.id.size() + kParsed * WriteJson(side.facts.fields).size();
    parents_.push_back(static_cast<uint32_t>(sides_.size()));
    sides_.push_back(std::move(side));
  }
  return CheckMemory();
}

std::vector<Merging::Pair> Merging::Candidates(const std::atomic<bool>& stop) const {
  const double least = merge_.candidate_similarity() > 0 ? merge_.candidate_similarity() : kDefaultSimilarity;
  const int32_t most = merge_.max_candidates() > 0 ? merge_.max_candidates() : kDefaultCandidates;
  const NeighborOptions options = {
      .least_similarity = least, .max_neighbors = static_cast<size_t>(most), .stop = &stop};
  const Vectors vectors = corpus_.Weigh();
  const std::vector<std::vector<Neighbor>> neighbors =
      FindNeighbors(vectors, std::vector<TimeSpan>(vectors.size()), TimeRules{}, options);
  std::vector<Pair> pairs;
  for (uint32_t place = 0; place < neighbors.size(); ++place) {
    for (const Neighbor& neighbor : neighbors[place]) {
      pairs.push_back({neighbor.similarity, std::min(place, neighbor.document), std::max(place, neighbor.document)});
    }
  }
  // Removes duplicates first, because both sides may list a pair, perhaps with similarities that differ in the last
  // bit. Then sorts by similarity.
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tuple(a.left, a.right, -a.similarity) < std::tuple(b.left, b.right, -b.similarity);
  });
  const auto same = [](const Pair& a, const Pair& b) { return a.left == b.left && a.right == b.right; };
  pairs.erase(std::unique(pairs.begin(), pairs.end(), same), pairs.end());
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.similarity > b.similarity; });
  return pairs;
}

uint32_t Merging::Root(uint32_t place) const {
  while (parents_[place] != place) place = parents_[place];
  return place;
}

Status Merging::Decide(const std::atomic<bool>& stop) {
  std::vector<size_t> members;
  for (const Side& side : sides_) members.push_back(side.members);
  std::vector<Decision> decisions;
  const WorkMeter meter({.name = "the rules of the merge"}, &stop);
  for (const Pair& pair : Candidates(stop)) {
    if (stop.load(std::memory_order_relaxed)) return StoppedEarly();
    MR_RETURN_IF_ERROR(meter.status());
    const uint32_t left = Root(pair.left);
    const uint32_t right = Root(pair.right);
    if (left == right) continue;
    Oddities oddities;
    Decision decision{pair.left, pair.right,
                      rules_.Decide(sides_[pair.left].facts, sides_[pair.right].facts, pair.similarity, oddities)};
    oddities_.Count(oddities);
    if (decision.pair.rule.empty()) continue;
    const size_t together = members[left] + members[right];
    const bool fits = merge_.max_members() <= 0 || together <= static_cast<size_t>(merge_.max_members());
    decision.joined = decision.pair.join && fits;
    if (decision.joined) {
      decision.away = std::max(left, right);
      parents_[decision.away] = std::min(left, right);
      members[std::min(left, right)] = together;
    }
    decisions.push_back(std::move(decision));
  }
  MR_RETURN_IF_ERROR(meter.status());
  parts_.resize(sides_.size());
  decisions_.resize(sides_.size());
  for (Decision& decision : decisions) {
    const uint32_t left = Root(decision.left);
    const uint32_t right = Root(decision.right);
    // Both sides note a pair that was kept apart, unless other pairs have joined them after all.
    if (!decision.joined && left == right) continue;
    if (left != right) decisions_[right].push_back(decision);
    decisions_[left].push_back(std::move(decision));
  }
  std::vector<size_t> sizes(sides_.size());
  for (uint32_t place = 0; place < sides_.size(); ++place) ++sizes[Root(place)];
  for (uint32_t place = 0; place < sides_.size(); ++place) {
    if (sizes[Root(place)] > 1) parts_[Root(place)].push_back(place);
  }
  return stop.load() ? StoppedEarly() : absl::OkStatus();
}

Status Merging::Collect(const std::vector<InputItem>& items) {
  for (const InputItem& item : items) {
    const uint32_t place = collected_++;
    if (parts_[Root(place)].empty()) continue;
    bytes_ += item.json->size() + kSideBytes;
    whole_.emplace(place, *item.json);
  }
  return CheckMemory();
}

std::string Merging::NoteOf(const Decision& decision) const {
  const bool full = decision.pair.join && !decision.joined;
  std::string note = fmt::format("{}: {} {} {}, similarity {}", decision.pair.rule, sides_[decision.left].id,
                                 decision.joined ? "joined with" : "kept apart from", sides_[decision.right].id,
                                 decision.pair.similarity);
  if (decision.pair.days_apart) note += fmt::format(", {} days apart", *decision.pair.days_apart);
  if (full) note += fmt::format(", together more than {} members", merge_.max_members());
  return note;
}

void Merging::PutNotes(uint32_t place, StageItem& item) const {
  for (const Decision& decision : decisions_[place]) {
    if (item.notes.size() == kMaxNotes) break;
    item.notes.push_back(NoteOf(decision));
  }
}

json::array Merging::MergedList(uint32_t root, const std::vector<json::value>& values) const {
  json::array merged;
  for (const json::value& value : values) {
    const json::value* earlier = FindPath(value, "merged");
    if (earlier == nullptr || !earlier->is_array()) continue;
    for (const json::value& entry : earlier->get_array()) merged.push_back(entry);
  }
  for (const Decision& decision : decisions_[root]) {
    if (!decision.joined) continue;
    json::object entry;
    entry["id"] = sides_[decision.away].id;
    entry["pair"] = {sides_[decision.left].id, sides_[decision.right].id};
    entry["rule"] = decision.pair.rule;
    entry["similarity"] = decision.pair.similarity;
    if (decision.pair.days_apart) entry["days_apart"] = *decision.pair.days_apart;
    merged.push_back(std::move(entry));
  }
  return merged;
}

void Merging::PutTimes(uint32_t root, const std::vector<json::value>& values, json::object& joined) const {
  std::optional<int64_t> first;
  std::optional<int64_t> last;
  for (size_t i = 0; i < values.size(); ++i) {
    const PairSide& facts = sides_[parts_[root][i]].facts;
    if (facts.first_micros && (!first || *facts.first_micros < *first)) {
      first = facts.first_micros;
      joined["first_time"] = *FindPath(values[i], "first_time");
    }
    if (facts.last_micros && (!last || *facts.last_micros > *last)) {
      last = facts.last_micros;
      joined["last_time"] = *FindPath(values[i], "last_time");
    }
  }
}

StageItem Merging::Joined(uint32_t root) const {
  StageItem item;
  item.id = sides_[root].id;
  std::vector<json::value> values;
  std::vector<std::string> kept;
  std::set<std::string> seen;
  json::array members;
  size_t largest = 0;
  size_t largest_members = 0;
  for (const uint32_t part : parts_[root]) {
    const Side& side = sides_[part];
    json::value value = ParseOwnJson(whole_.at(part));
    item.input_ids.push_back(side.id);
    if (side.degraded) item.state = v1::ITEM_STATE_DEGRADED;
    kept.push_back(keep_.Take(value));
    for (const std::string& member : MembersOf(value, side.id)) {
      if (seen.insert(member).second) members.push_back(json::string(member));
    }
    if (side.members > largest_members) {
      largest_members = side.members;
      largest = values.size();
    }
    values.push_back(std::move(value));
  }
  json::object joined = values[largest].get_object();
  joined["id"] = item.id;
  joined["size"] = members.size();
  joined["members"] = std::move(members);
  PutTimes(root, values, joined);
  keep_.Put({kept.begin(), kept.end()}, joined);
  joined["merged"] = MergedList(root, values);
  item.json = WriteJson(joined);
  PutNotes(root, item);
  return item;
}

std::vector<StageItem> Merging::Results(const std::vector<InputItem>& items) {
  std::vector<StageItem> results;
  for (const InputItem& item : items) {
    const uint32_t place = given_++;
    if (Root(place) != place) continue;  // is part of a joined item, which is at the position of its first part
    if (!parts_[place].empty()) {
      results.push_back(Joined(place));
      continue;
    }
    StageItem same;
    same.id = item.id;
    same.json = *item.json;
    if (item.degraded) same.state = v1::ITEM_STATE_DEGRADED;
    PutNotes(place, same);
    results.push_back(std::move(same));
  }
  return results;
}

}  // namespace millrace
