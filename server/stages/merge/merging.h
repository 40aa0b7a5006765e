// One merge from its items to what becomes of them, as plain values: what the barrier stage computes on the pool. Only
// features and what rules read is held of every item; whole items only of those that are joined.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/group/group_fields.h"
#include "server/stages/merge/pair_rules.h"
#include "server/stages/stage.h"
#include "server/text/features.h"

namespace millrace {

// Used as: Add all items, Decide, Collect all items again, Results of all items once more. One thread at a time.
class Merging {
 public:
  Merging(const v1::Merge& merge, PairRules rules);

  // Takes the next items. RESOURCE_EXHAUSTED (MEMORY_LIMIT) where they are too many.
  Status Add(const std::vector<InputItem>& items);
  // Decides about all pairs that are similar enough. CANCELLED soon after `stop` is set.
  Status Decide(const std::atomic<bool>& stop);
  // Takes the parts of joined items out of the next items. RESOURCE_EXHAUSTED (MEMORY_LIMIT) where they are too large.
  Status Collect(const std::vector<InputItem>& items);
  // What becomes of these items, in their order: those that stay alone as they are, a joined item in the place of its
  // first part.
  std::vector<StageItem> Results(const std::vector<InputItem>& items);

 private:
  struct Side {
    std::string id;
    size_t members = 1;
    bool degraded = false;
    PairSide facts;
  };
  // Two items that were joined, or that a rule or limit kept apart.
  struct Decision {
    uint32_t left;
    uint32_t right;
    PairDecision pair;
    bool joined = false;
    uint32_t away = 0;  // of a join: the first part of what was joined to an earlier item
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
  // What decided that parts are joined: `merged`.
  boost::json::array MergedList(uint32_t root, const std::vector<boost::json::value>& values) const;
  // The earliest and latest time of the parts.
  void PutTimes(uint32_t root, const std::vector<boost::json::value>& values, boost::json::object& joined) const;
  StageItem Joined(uint32_t root) const;

  v1::Merge merge_;
  PairRules rules_;
  GroupFields keep_;
  Corpus corpus_;
  std::vector<Side> sides_;
  std::vector<uint32_t> parents_;                 // of a joined item: an earlier part
  std::vector<std::vector<uint32_t>> parts_;      // by root: all parts, in order; empty for items alone
  std::vector<std::vector<Decision>> decisions_;  // by root
  std::map<uint32_t, std::string> whole_;         // JSON of the parts of joined items
  // Items of several stages may share an id: they are told apart by their place among all.
  uint32_t collected_ = 0;
  uint32_t given_ = 0;
  size_t bytes_ = 0;
};

}  // namespace millrace
