// Rows of one stage of one run. An item that ends in the stage is committed here, in one batch with its indexes, its
// memo, the settlement of its calls and the stage's counts. Only committed items are delivered to other stages.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/engine/measured_pool.h"
#include "server/engine/step/channel.h"
#include "server/engine/step/memo.h"
#include "server/stages/item.h"
#include "server/storage/items.h"
#include "server/storage/store.h"

namespace millrace {

// An item that has ended in a stage, or is to be parked, before its commit.
struct EndedItem {
  int64_t ordinal = 0;
  std::string input_id;  // its id if `item.id` is empty
  StageItem item;        // without its JSON, if `json` is set
  std::shared_ptr<const std::string> json;
  v1::Origin origin = v1::ORIGIN_COMPUTED;
  std::optional<Digest> memo_key;  // key of its memo; nullopt: not memoized
  bool woken = false;              // it was parked before
  int64_t parked_until = 0;        // if `woken`: its wake-up time, whose entry is deleted
};

// A group of items that are committed together.
struct EndedGroup {
  std::vector<EndedItem> items;
  std::optional<storage::v1::FetchCursor> cursor;  // for a fetch: where reading continues
  int64_t rows_read = 0;                           // for a fetch
  WriteBatch more;                                 // committed in the same batch
  bool check_ids = false;                          // ids may be duplicates of others in the stage
};

using RecordChange = std::function<void(storage::v1::StageRecord&)>;

// Engine thread. One group at a time.
class StageRows {
 public:
  struct Parts {
    Loop& loop;
    Pool& pool;
    Store& store;                        // waits while the store is being reopened
    std::function<Duration()> cpu_time;  // CPU time of the calling thread; empty: computing time is not counted
    Pool* slow = nullptr;                // for work that takes long; null: `pool`
  };

  StageRows(Parts parts, std::string run, std::string stage, storage::v1::StageRecord record);

  const std::string& run() const { return run_; }
  const std::string& stage() const { return stage_; }
  const ItemKeys& keys() const { return *keys_; }
  // The stage's record as last committed.
  const storage::v1::StageRecord& record() const { return record_; }
  const v1::StageProgress& progress() const { return record_.progress(); }
  bool done() const { return record_.done(); }
  // Returns true if its items may be read as a whole.
  bool complete(bool needs_check) const { return record_.done() && (!needs_check || record_.expect_checked()); }

  // Sets the rules for memos of items with a `memo_key`; null: no memos are written.
  void set_memo_rules(std::shared_ptr<const MemoRules> rules) { memo_rules_ = std::move(rules); }
  // Sets the limit: items with more bytes of JSON fail.
  void set_item_bytes_max(size_t bytes) { item_bytes_max_ = bytes; }

  // Sets whether items with a duplicate id fail (default: true). Turn it off if the store keeps no rows to compare
  // with.
  void set_checks_ids(bool checks_ids) { checks_ids_ = checks_ids; }

  // Delivers items that end OK or degraded from now on to `consumer`, after their commit.
  void Attach(ItemConsumer& consumer) { consumers_.push_back(&consumer); }
  // Ends the deliveries and the stage's clock: the episode is over.
  void DetachAll() {
    consumers_.clear();
    elapsed_until_.reset();
  }
  // Starts the stage's clock, if it is not running.
  void Begin() {
    if (!elapsed_until_) elapsed_until_ = parts_.loop.Now();
  }
  // Number of the newest commit that was delivered: a consumer attached now gets all later ones.
  int64_t delivered() const { return delivered_; }

  // The pool for the stage's computing. The CPU time spent there is counted with the next commit.
  Pool& pool() { return computing_; }

  // Committed items and the consumers that were attached at that time.
  struct Delivery {
    std::vector<InputItem> items;
    std::vector<ItemConsumer*> consumers;
  };
  // Commits a group and delivers it. After CommitOnly the caller delivers, in the order of the commits.
  Task<Status> Commit(EndedGroup group);
  Task<StatusOr<Delivery>> CommitOnly(EndedGroup group);
  // Puts the items to each consumer; resumes when all had room.
  static Task<void> Deliver(Delivery delivery);
  // Commits the stage's record after `change`, and `more`. If the stage is done then, its consumers are closed.
  Task<Status> Update(RecordChange change, WriteBatch more);
  Task<Status> Update(RecordChange change) { return Update(std::move(change), WriteBatch()); }
  // Ends the stage: as Update, with the record marked as done.
  Task<Status> End(RecordChange change, WriteBatch more);
  // Changes the record and puts it into `batch`, which the caller commits.
  void Prepare(const RecordChange& change, WriteBatch& batch);
  // Puts the deletion of all rows into `batch`, which the caller commits. The record keeps cost, calls and commit
  // numbers.
  void Reset(WriteBatch& batch);

  // Event that is notified after every commit.
  Event& moved() { return moved_; }

 private:
  struct Encoded;

  void CountComputing(v1::StageProgress& progress);

  const Parts parts_;
  MeasuredPool computing_;
  const std::string run_;
  const std::string stage_;
  const std::shared_ptr<const ItemKeys> keys_;
  storage::v1::StageRecord record_;
  std::shared_ptr<const MemoRules> memo_rules_;
  std::vector<ItemConsumer*> consumers_;
  int64_t delivered_ = 0;
  size_t item_bytes_max_ = SIZE_MAX;
  bool checks_ids_ = true;
  std::optional<TimePoint> elapsed_until_;  // time is counted up to here; nullopt: the clock is stopped
  Event moved_;
};

// Adds an item to a stage's counts, or subtracts it (`sign` -1). Calls, tokens and cost stay as they are: they were
// paid.
void CountItem(v1::StageProgress& progress, const storage::v1::ItemRecord& item, int sign);

}  // namespace millrace
