// Merge of all items of a stage, as plain values, which the barrier stage computes on the pool. Keeps the features and
// the fields that rules read of each item, and whole items only if they are joined.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/group/group_fields.h"
#include "server/stages/item.h"
#include "server/stages/merge/pair_rules.h"
#include "server/text/features.h"

namespace millrace {

// One merge. Use: Add of all items; Decide; Collect of all items again; Results of all items again. One thread at a
// time.
class Merging {
 public:
  Merging(const v1::Merge& merge, PairRules rules);

  // Adds the next items. MEMORY_LIMIT if all of them need more than `max_memory`.
  Status Add(const std::vector<InputItem>& items);
  // Decides about all pairs that are similar enough. CANCELLED soon after `stop` is set.
  Status Decide(const std::atomic<bool>& stop);
  // Returns what is odd about the items that were added and the pairs that were decided.
  const Oddities& oddities() const { return oddities_; }
  // Keeps those of the next items that are parts of joined items. MEMORY_LIMIT if they need more than `max_memory`.
  Status Collect(const std::vector<InputItem>& items);
  // Returns the results of the next items, in order: items that were not joined are unchanged, a joined item is at the
  // position of its first part.
  std::vector<StageItem> Results(const std::vector<InputItem>& items);

 private:
  struct Side {
    std::string id;
    size_t members = 1;
    bool degraded = false;
    PairSide facts;
  };
  // Decision about two items that were joined, or that a rule or limit kept apart.
  struct Decision {
    uint32_t left;
    uint32_t right;
    PairDecision pair;
    bool joined = false;
    uint32_t away = 0;  // for a join: first part of the group that was joined to an earlier one
  };
  struct Pair {
    double similarity;
    uint32_t left;
    uint32_t right;
  };

  Status CheckMemory() const;
  std::vector<Pair> Candidates(const std::atomic<bool>& stop) const;
  uint32_t Root(uint32_t place) const;
  std::string NoteOf(const Decision& decision) const;
  void PutNotes(uint32_t place, StageItem& item) const;
  // Returns the value of `merged`: the decisions by which the parts were joined.
  boost::json::array MergedList(uint32_t root, const std::vector<boost::json::value>& values) const;
  // Sets the earliest and latest time of the parts.
  void PutTimes(uint32_t root, const std::vector<boost::json::value>& values, boost::json::object& joined) const;
  StageItem Joined(uint32_t root) const;

  v1::Merge merge_;
  PairRules rules_;
  GroupFields keep_;
  Corpus corpus_;
  std::vector<Side> sides_;
  std::vector<uint32_t> parents_;                 // by item: an earlier part of its joined item, or itself
  std::vector<std::vector<uint32_t>> parts_;      // by root: all parts, in order; empty if the item was not joined
  std::vector<std::vector<Decision>> decisions_;  // by root
  std::map<uint32_t, std::string> whole_;         // JSON of the parts of joined items
  // Positions of the next item of Collect and Results. Items are identified by position, because items of several
  // stages may have one id.
  uint32_t collected_ = 0;
  uint32_t given_ = 0;
  size_t bytes_ = 0;
  Oddities oddities_;
};

}  // namespace millrace
