// One clustering from its items to its groups, as plain values: what the barrier stage computes on the pool.
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
#include "server/stages/stage.h"
#include "server/text/features.h"

namespace millrace {

// Used as: Add all items, page by page; Group; Result of each place. One thread at a time.
class Clustering {
 public:
  explicit Clustering(const v1::Cluster& cluster);

  // Takes the next items. RESOURCE_EXHAUSTED (MEMORY_LIMIT) as soon as what it would take to group them is more than
  // `max_memory`.
  Status Add(const std::vector<InputItem>& items);

  // Makes the groups. CANCELLED soon after `stop` is set.
  Status Group(const std::atomic<bool>& stop);

  // How many results there are: groups and items without one.
  size_t size() const { return groups_.size(); }
  // The result at a place, in order of the groups' first members.
  StageItem Result(size_t place) const;

  // Bytes that it holds and will take for grouping, about.
  size_t bytes() const;

 private:
  // What is kept of an item beside its features.
  struct Member {
    std::string id;
    std::string title;
    std::string time;  // as it was written, JSON
    std::string kept;  // see GroupFields
    bool degraded = false;
  };

  // A group seen from its members.
  struct Portrait {
    std::vector<Feature> sum;  // of the members' unit vectors, by term
    size_t medoid = 0;         // place in the group
    double coherence = 1;
  };

  Portrait Draw(const Members& members) const;
  std::vector<std::string> Terms(const Portrait& portrait) const;
  StageItem GroupItem(const Members& members) const;

  v1::Cluster cluster_;
  GroupFields keep_;
  Corpus corpus_;
  std::vector<Member> members_;
  std::vector<TimeSpan> times_;
  std::map<std::string, uint32_t> partition_numbers_;  // by the value of `within`
  std::vector<uint32_t> partitions_;
  size_t member_bytes_ = 0;
  size_t features_ = 0;
  Vectors vectors_;
  std::vector<Members> groups_;
};

}  // namespace millrace
