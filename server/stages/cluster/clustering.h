// Clustering of all items of a stage, as plain values, which the barrier stage computes on the pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/cluster/grouping.h"
#include "server/stages/group/group_fields.h"
#include "server/stages/item.h"
#include "server/text/features.h"

namespace millrace {

// One clustering. Use: Add of all items, page by page; Group; Result of each position. One thread at a time.
class Clustering {
 public:
  explicit Clustering(const v1::Cluster& cluster);

  // Adds the next items. RESOURCE_EXHAUSTED (MEMORY_LIMIT) as soon as the grouping of all items so far would need more
  // than `max_memory`, as estimated: the stage fails while it reads its input.
  Status Add(const std::vector<InputItem>& items);

  // Returns what is odd about the items that were added: dates that can't be read, no dates at all for rules about
  // time, numbers as text in fields that are ordered.
  Oddities oddities() const;

  // Computes the groups. CANCELLED soon after `stop` is set.
  Status Group(const std::atomic<bool>& stop);

  // Returns the number of results: groups, and items without a group.
  size_t size() const { return groups_.size(); }
  // Returns the result at a position, in the order of the groups' first members.
  StageItem Result(size_t place) const;

  // Returns the approximate bytes that it holds and will need for grouping.
  size_t bytes() const;

 private:
  // Parts of an item that are kept besides its features.
  struct Member {
    std::string id;
    std::string title;
    std::string time;  // JSON of the item's time field
    std::string kept;  // result of GroupFields::Take
    bool degraded = false;
  };

  // Properties of a group that are computed from its members.
  struct Portrait {
    std::vector<Feature> sum;  // sum of the members' unit vectors, by term
    size_t medoid = 0;         // position in the group of the member nearest to the sum that has a title
    double coherence = 1;      // mean cosine of the members with the sum
  };

  Portrait Draw(const Members& members) const;
  std::vector<std::string> Terms(const Portrait& portrait) const;
  StageItem GroupItem(const Members& members) const;

  v1::Cluster cluster_;
  GroupFields keep_;
  Corpus corpus_;
  std::vector<Member> members_;
  std::vector<TimeSpan> times_;
  std::map<std::string, uint32_t> partition_numbers_;  // by canonical JSON of the field `within`
  std::vector<uint32_t> partitions_;
  size_t member_bytes_ = 0;
  Oddities oddities_;
  bool has_dates_ = false;  // some item says something in the time field
  size_t features_ = 0;
  Vectors vectors_;
  std::vector<Members> groups_;
};

}  // namespace millrace
