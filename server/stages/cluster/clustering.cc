#include "server/stages/cluster/clustering.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "server/base/canonical_json.h"
#include "server/base/date.h"
#include "server/base/digest.h"
#include "server/base/duration.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/stages/cluster/cluster.h"
#include "server/stages/group/comparable_text.h"
#include "server/stages/stop_flag.h"

namespace millrace {
namespace {

constexpr double kDefaultDocumentShare = 0.2;
constexpr int32_t kDefaultNeighbors = 100;
constexpr int32_t kDefaultMinSize = 2;
constexpr int64_t kDefaultMemory = int64_t{1} << 30;
constexpr size_t kMaxTerms = 10;
// Bytes of an item besides its texts: strings, a time, a number.
constexpr size_t kMemberBytes = 200;
// Bytes of English text for each word that counts.
constexpr int64_t kTextBytesPerFeature = 9;

size_t NeighborsOf(const v1::Cluster& cluster) {
  const int32_t max = cluster.lexical().max_neighbors();
  return static_cast<size_t>(max > 0 ? max : kDefaultNeighbors);
}

int64_t MemoryOf(const v1::Cluster& cluster) {
  return cluster.max_memory() > 0 ? cluster.max_memory() : kDefaultMemory;
}

const std::string& TitleFieldOf(const v1::Cluster& cluster) {
  static const std::string kTitle = "title";
  return cluster.title_field().empty() ? kTitle : cluster.title_field();
}

FeatureOptions FeaturesOf(const v1::LexicalCluster& lexical) {
  FeatureOptions options;
  options.max_document_share = lexical.max_document_share() > 0 ? lexical.max_document_share() : kDefaultDocumentShare;
  options.pair_weight = lexical.pair_weight();
  options.name_weight = lexical.name_weight() > 0 ? lexical.name_weight() : 1;
  options.max_rarity = lexical.max_rarity();
  options.short_text_words = lexical.short_text_words();
  return options;
}

Linkage LinkageOf(const v1::LexicalCluster& lexical) {
  switch (lexical.linkage()) {
    case v1::LexicalCluster::LINKAGE_SINGLE:
      return Linkage::kSingle;
    case v1::LexicalCluster::LINKAGE_COMPLETE:
      return Linkage::kComplete;
    default:
      return Linkage::kAverage;
  }
}

GroupingOptions GroupingOf(const v1::Cluster& cluster) {
  GroupingOptions options;
  options.agglomeration.linkage = LinkageOf(cluster.lexical());
  options.agglomeration.cohesion = cluster.lexical().cohesion();
  options.agglomeration.time.window_micros = ToDuration(cluster.time_window()).count() / 1000;
  options.agglomeration.time.half_life_micros = ToDuration(cluster.half_life()).count() / 1000;
  options.max_neighbors = NeighborsOf(cluster);
  for (const v1::ClusterPass& pass : cluster.passes()) {
    const int32_t min_size = pass.min_size() > 0 ? pass.min_size() : kDefaultMinSize;
    options.passes.push_back({pass.threshold(), static_cast<size_t>(min_size)});
  }
  return options;
}

bool KeepsSingletons(const v1::Cluster& cluster) {
  if (cluster.singletons() == v1::SINGLETONS_KEEP) return true;
  return std::any_of(cluster.passes().begin(), cluster.passes().end(),
                     [](const v1::ClusterPass& pass) { return pass.min_size() == 1; });
}

std::string TextOf(const json::value* value) {
  if (value == nullptr || value->is_null()) return "";
  if (const json::string* text = IfText(*value)) return {text->data(), text->size()};
  return WriteJson(*value);
}

double SquareOf(Vectors::Range vector) {
  double square = 0;
  for (const Feature& feature : vector) square += static_cast<double>(feature.weight) * feature.weight;
  return square;
}

// Rounds to four digits: enough for a reader, and so few that the last bits of a sum do not change the result.
double Rounded(double value) { return std::round(value * 10000) / 10000; }

}  // namespace

int64_t ClusterBytes(const v1::Cluster& cluster, int64_t items, int64_t text_bytes) {
  const int64_t features = text_bytes / kTextBytesPerFeature * (cluster.lexical().pair_weight() > 0 ? 2 : 1);
  const size_t grouping =
      GroupingBytes(static_cast<size_t>(items), static_cast<size_t>(features), NeighborsOf(cluster));
  const int64_t corpus = features * static_cast<int64_t>(2 * sizeof(Feature)) + text_bytes;
  return static_cast<int64_t>(grouping) + corpus + items * static_cast<int64_t>(kMemberBytes);
}

Clustering::Clustering(const v1::Cluster& cluster)
    : cluster_(cluster), keep_(cluster.keep()), corpus_(FeaturesOf(cluster.lexical())) {}

Status Clustering::Add(const std::vector<InputItem>& items) {
  for (const InputItem& item : items) {
    MR_ASSIGN_OR_RETURN(const json::value value, ParseExact(*item.json));
    AddToCorpus(cluster_.lexical().fields(), value, corpus_);
    Member member;
    member.id = item.id;
    member.degraded = item.degraded;
    member.title = TextOf(FindPath(value, TitleFieldOf(cluster_)));
    Oddities oddities;
    member.kept = keep_.Take(value, &oddities);
    TimeSpan span;
    if (!cluster_.time_field().empty()) {
      const json::value* time = FindPath(value, cluster_.time_field());
      if (const std::optional<Date> date = time == nullptr ? std::nullopt : DateOf(*time)) {
        span = {date->micros, date->micros};
        member.time = WriteJson(*time);
        has_dates_ = true;
      } else if (!SaysNothing(time)) {
        oddities.Note(storage::v1::Oddity::KIND_DATE_UNREADABLE, cluster_.time_field(), *time);
        has_dates_ = true;
      }
    }
    oddities_.Count(oddities);
    uint32_t partition = 0;
    if (!cluster_.within().empty()) {
      const json::value* within = FindPath(value, cluster_.within());
      const std::string key = within == nullptr ? "null" : CanonicalJson(*within);
      const auto next = static_cast<uint32_t>(partition_numbers_.size());
      partition = partition_numbers_.try_emplace(key, next).first->second;
    }
    member_bytes_ += kMemberBytes + member.id.size() + member.title.size() + member.time.size() + member.kept.size();
    members_.push_back(std::move(member));
    times_.push_back(span);
    partitions_.push_back(partition);
  }
  if (const auto limit = static_cast<size_t>(MemoryOf(cluster_)); bytes() > limit) {
    return MakeError(Reason::kMemoryLimit,
                     fmt::format("clustering {} items would take about {} MiB, max_memory is {} MiB", members_.size(),
                                 bytes() >> 20, limit >> 20));
  }
  return absl::OkStatus();
}

Oddities Clustering::oddities() const {
  Oddities all = oddities_;
  const bool has_time_rules = cluster_.has_time_window() || cluster_.has_half_life();
  if (has_time_rules && !has_dates_ && members_.size() > 1) {
    Oddities none;
    none.NoteText(storage::v1::Oddity::KIND_NO_DATES, cluster_.time_field(), "");
    for (size_t i = 0; i < members_.size(); ++i) all.Count(none);
  }
  return all;
}

size_t Clustering::bytes() const {
  const size_t features = corpus_.features();
  // The counts in the corpus, and the vectors that are made of them.
  const size_t corpus = corpus_.bytes() + features * sizeof(Feature);
  return corpus + member_bytes_ + GroupingBytes(members_.size(), features, NeighborsOf(cluster_));
}

Status Clustering::Group(const std::atomic<bool>& stop) {
  vectors_ = corpus_.Weigh();
  GroupingOptions options = GroupingOf(cluster_);
  options.agglomeration.stop = &stop;
  groups_ = GroupDocuments(vectors_, times_, partitions_, options);
  return stop.load() ? StoppedEarly() : absl::OkStatus();
}

Clustering::Portrait Clustering::Draw(const Members& members) const {
  std::vector<double> scales;
  Portrait portrait;
  for (const uint32_t member : members) {
    const double square = SquareOf(vectors_[member]);
    scales.push_back(square > 0 ? 1 / std::sqrt(square) : 0);
    for (const Feature& feature : vectors_[member]) {
      portrait.sum.push_back({feature.term, static_cast<float>(feature.weight * scales.back())});
    }
  }
  std::stable_sort(portrait.sum.begin(), portrait.sum.end(),
                   [](const Feature& a, const Feature& b) { return a.term < b.term; });
  size_t out = 0;
  for (const Feature& feature : portrait.sum) {
    if (out > 0 && portrait.sum[out - 1].term == feature.term) {
      portrait.sum[out - 1].weight += feature.weight;
    } else {
      portrait.sum[out++] = feature;
    }
  }
  portrait.sum.resize(out);
  const Vectors::Range sum = {portrait.sum.data(), portrait.sum.data() + portrait.sum.size()};
  const double length = std::sqrt(SquareOf(sum));
  double total = 0;
  double nearest = -1;
  for (size_t place = 0; place < members.size(); ++place) {
    const double cosine = length > 0 ? Dot(vectors_[members[place]], sum) * scales[place] / length : 0;
    total += cosine;
    // Compares rounded values, so that the last bits of a sum do not decide between copies of one title.
    if (Rounded(cosine) > Rounded(nearest) && !members_[members[place]].title.empty()) {
      nearest = cosine;
      portrait.medoid = place;
    }
  }
  portrait.coherence = std::min(1.0, total / static_cast<double>(members.size()));
  return portrait;
}

std::vector<std::string> Clustering::Terms(const Portrait& portrait) const {
  std::vector<Feature> features;
  for (const Feature& feature : portrait.sum) {
    if (!corpus_.IsPair(feature.term)) features.push_back(feature);
  }
  std::stable_sort(features.begin(), features.end(),
                   [](const Feature& a, const Feature& b) { return a.weight > b.weight; });
  std::vector<std::string> terms;
  for (const Feature& feature : features) {
    if (terms.size() == kMaxTerms) break;
    terms.push_back(corpus_.Writing(feature.term));
  }
  return terms;
}

StageItem Clustering::GroupItem(const Members& members) const {
  const Portrait portrait = Draw(members);
  StageItem item;
  json::object group;
  const std::string& founder = members_[members.front()].id;
  item.id = "f-" + Digest::Of(founder).Hex().substr(0, 12);
  group["id"] = item.id;
  group["title"] = members_[members[portrait.medoid]].title;
  group["size"] = members.size();
  json::array& ids = group["members"].emplace_array();
  std::vector<std::string_view> kept;
  const Member* first = nullptr;
  const Member* last = nullptr;
  TimeSpan span;
  for (const uint32_t member : members) {
    const Member& one = members_[member];
    item.input_ids.push_back(one.id);
    // A group with a degraded member is degraded, because a redrive recomputes both.
    if (one.degraded) item.state = v1::ITEM_STATE_DEGRADED;
    ids.push_back(json::string(one.id));
    kept.push_back(one.kept);
    const TimeSpan& time = times_[member];
    if (!time.known()) continue;
    if (time.first < span.first) first = &one;
    if (time.last > span.last) last = &one;
    span = TimeSpan::Around(span, time);
  }
  json::array& terms = group["terms"].emplace_array();
  for (const std::string& term : Terms(portrait)) terms.push_back(json::string(term));
  group["coherence"] = Rounded(portrait.coherence);
  if (first != nullptr) {
    group["first_time"] = ParseOwnJson(first->time);
    group["last_time"] = ParseOwnJson(last->time);
  }
  keep_.Put(kept, group);
  item.json = WriteJson(group);
  return item;
}

StageItem Clustering::Result(size_t place) const {
  const Members& members = groups_[place];
  if (members.size() > 1 || KeepsSingletons(cluster_)) return GroupItem(members);
  StageItem item = SkippedItem(v1::ERROR_REASON_NO_GROUP, "");
  item.id = members_[members.front()].id;
  return item;
}

}  // namespace millrace
