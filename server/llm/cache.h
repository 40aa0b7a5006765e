// The look-up before a question is asked: answers given to this run, cached answers of earlier runs, and attempts that
// a crash left behind. It decides what may be reused; storage/answers.h has the entries.
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

// Rules for reuse.
struct LookUpRules {
  std::string run;              // empty: Generate
  bool earlier_runs = true;     // answers of earlier runs
  std::optional<Duration> ttl;  // no older than this, by the wall clock
  bool counted = true;          // count a hit or a miss
};

struct Found {
  // The answer to be used, and the place of its key. `is_own`: it was given to this run, which finds it again.
  std::optional<storage::v1::AnswerRecord> answer;
  size_t place = 0;
  bool is_own = false;
  // The run's index entries, by the place of their key; empty for Generate.
  std::vector<storage::v1::SettledIndex> own;
  // Attempts that are not settled, by the place of their key. Only without an answer.
  std::vector<std::optional<storage::v1::PendingRecord>> pending;
  // Places of keys whose pending record the disk has lost: nobody knows whether there was one.
  std::vector<size_t> lost;
};

// A text to embed, as the look-up found it.
struct FoundText {
  std::vector<float> vector;        // empty: it is not cached
  std::optional<Digest> batch_key;  // else: key of an attempt with the text that is not settled
};

class Cache {
 public:
  Cache(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  // Looks up the keys. The first of these that exists is the result:
  // 1. A usable answer, key by key in their order: the one that was given to this run, else the cached one, if the
  //    rules allow it.
  // 2. An answer that this run got and could not use, so that it is not paid for twice.
  // 3. No answer, and the unsettled attempts of all keys.
  // A damaged value is a miss, and counted. Waits while the store can't be read. Costs one read of two or three small
  // values for each key, which nearly always finds nothing, and else one more read of the records that they lead to.
  Task<Found> LookUp(std::vector<Digest> keys, LookUpRules rules);

  // Looks up vectors of texts by their keys, no older than `ttl`. Counts a hit or a miss for each, and else does as
  // LookUp. Reads all keys at once, so the caller passes some at a time: a vector has a few KiB.
  Task<std::vector<FoundText>> LookUpTexts(std::vector<Digest> keys, std::optional<Duration> ttl);
  // Returns the texts of an attempt that is not settled, found by one of them; none if it has been settled.
  Task<std::vector<std::string>> PendingTexts(Digest batch_key);

  int64_t hits() const { return hits_; }
  int64_t misses() const { return misses_; }
  int64_t corrupt() const { return corrupt_; }

 private:
  // An index entry that may lead to the answer.
  struct Lead {
    size_t place = 0;
    int64_t number = 0;
    bool is_own = false;
    bool is_bad = false;
  };
  struct Entries;

  Task<Entries> ReadEntries(const std::vector<Digest>& keys, const std::string& run);
  Task<void> Follow(const std::vector<Lead>& leads, const LookUpRules& rules, Found& found);
  bool IsFresh(const storage::v1::AnswerRecord& answer, const LookUpRules& rules) const;
  template <typename Message>
  bool Read(const std::string& key, const std::optional<std::string>& value, Message& message);

  Loop& loop_;
  Store& store_;
  int64_t hits_ = 0;
  int64_t misses_ = 0;
  int64_t corrupt_ = 0;
};

// Commits again and again until the store has taken the batch, over a full disk and a reopening.
Task<void> CommitFirmly(Loop& loop, Store& store, WriteBatch batch, CommitMode mode);
// Resumes when the store may take what it has just refused.
Task<void> WaitForStore(Loop& loop, Store& store);

}  // namespace millrace
