// The look-up before a call: what was answered to this run, what earlier runs may share, and what a crash left behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/store.h"

namespace millrace {

// What may be reused, and for whom.
struct LookUpRules {
  std::string run;              // empty: Generate
  bool earlier_runs = true;     // answers of earlier runs
  std::optional<Duration> ttl;  // no older than this, by the wall clock
  bool counted = true;          // as a hit or miss
};

struct Found {
  // The answer to be used, and which of the keys it was found under.
  std::optional<storage::v1::AnswerRecord> answer;
  size_t place = 0;
  // Attempts that are not settled, by the place of their key. Only where there is no answer.
  std::vector<std::optional<storage::v1::AttemptRecord>> pending;
  // Places of keys where the disk has lost what stood there: there may have been one.
  std::vector<size_t> lost;
};

class Cache {
 public:
  Cache(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  // Looks for an answer under the keys, in their order: first one that is good for all or was given to this run, then
  // one that this run could not use (it is not paid for twice), then unsettled attempts. What is damaged is a miss, and
  // counted. Waits where the store can't be read.
  Task<Found> LookUp(std::vector<Digest> keys, LookUpRules rules);

  int64_t hits() const { return hits_; }
  int64_t misses() const { return misses_; }
  int64_t corrupt() const { return corrupt_; }

 private:
  Loop& loop_;
  Store& store_;
  int64_t hits_ = 0;
  int64_t misses_ = 0;
  int64_t corrupt_ = 0;
};

// Commits until the store has taken it, over disk full and reopening.
Task<void> CommitFirmly(Loop& loop, Store& store, WriteBatch batch, CommitMode mode);
// Waits until the store may take what it has just refused.
Task<void> WaitForStore(Loop& loop, Store& store);

}  // namespace millrace
