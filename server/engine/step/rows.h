// The rows of one stage of one run: every item that ends there is committed here, with its indexes, its memo, the
// settlement of its calls and the stage's counts in one batch; and only what is committed is delivered to other stages.
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
#include "server/stages/stage.h"
#include "server/storage/items.h"
#include "server/storage/store.h"

namespace millrace {

// An item that has ended in a stage, or is to be parked, on its way into the store.
struct EndedItem {
  int64_t ordinal = 0;
  std::string input_id;  // used where `item.id` is empty
  StageItem item;        // but for its JSON
  std::shared_ptr<const std::string> json;
  v1::Origin origin = v1::ORIGIN_COMPUTED;
  std::optional<Digest> memo_key;  // what its result is, or is to be, remembered by
  bool woken = false;              // it was parked
  int64_t parked_until = 0;        // until then; its entry among the parked goes
};

// A group of items that are committed together.
struct EndedGroup {
  std::vector<EndedItem> items;
  std::optional<storage::v1::FetchCursor> cursor;  // of a fetch: where it goes on
  int64_t rows_read = 0;                           // of a fetch
  WriteBatch more;                                 // committed along
  bool check_ids = false;                          // ids may stand there twice
};

using RecordChange = std::function<void(storage::v1::StageRecord&)>;

// Engine thread. One group at a time.
class StageRows {
 public:
  struct Parts {
    Loop& loop;
    Pool& pool;
    Store& store;                        // a patient one
    std::function<Duration()> cpu_time;  // of the calling thread; empty: what computing takes is not counted
  };

  StageRows(Parts parts, std::string run, std::string stage, storage::v1::StageRecord record);

  const std::string& run() const { return run_; }
  const std::string& stage() const { return stage_; }
  const ItemKeys& keys() const { return *keys_; }
  // Counts are those of committed items.
  const storage::v1::StageRecord& record() const { return record_; }
  const v1::StageProgress& progress() const { return record_.progress(); }
  bool done() const { return record_.done(); }
  // Its items may be read by stages that take them whole.
  bool complete(bool needs_check) const { return record_.done() && (!needs_check || record_.expect_checked()); }

  // Rules for the memos of items whose `memo_key` is set; null: none are written.
  void set_memo_rules(std::shared_ptr<const MemoRules> rules) { memo_rules_ = std::move(rules); }
  // Items with more bytes of JSON fail.
  void set_item_bytes_max(size_t bytes) { item_bytes_max_ = bytes; }

  // Items that end ok or degraded from now on are put there, after their commit.
  void Attach(Channel& channel) { consumers_.push_back(&channel); }
  // The episode is over.
  void DetachAll() {
    consumers_.clear();
    elapsed_until_.reset();
  }
  // The stage begins to work, where it has not in this episode: its time runs from here.
  void Begin() {
    if (!elapsed_until_) elapsed_until_ = parts_.loop.Now();
  }
  // The number of the newest commit that was delivered: what is attached now gets all later ones.
  int64_t delivered() const { return delivered_; }

  // For what the stage computes: the CPU time that it takes is counted with the next commit.
  Pool& pool() { return computing_; }

  // Items that were committed, and who was attached then.
  struct Delivery {
    std::vector<InputItem> items;
    std::vector<Channel*> consumers;
  };
  // Commits a group and delivers it; or leaves that to the caller, who delivers in the order of the commits.
  Task<Status> Commit(EndedGroup group);
  Task<StatusOr<Delivery>> CommitOnly(EndedGroup group);
  // Waits for room.
  static Task<void> Deliver(Delivery delivery);
  // Commits the stage's record after `change`, and `more`. Where the stage is done then, what is attached is closed.
  Task<Status> Update(RecordChange change, WriteBatch more);
  // The same without the commit, which is the caller's.
  void Prepare(const RecordChange& change, WriteBatch& batch);
  // Deletes all rows; the record keeps its money and its numbers. The caller commits the batch.
  void Reset(WriteBatch& batch);

  // Notified after every commit.
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
  std::vector<Channel*> consumers_;
  int64_t delivered_ = 0;
  size_t item_bytes_max_ = SIZE_MAX;
  std::optional<TimePoint> elapsed_until_;  // up to here its time is counted; nullopt: it rests
  Event moved_;
};

// Adds an item to a stage's counts, or takes it out again (`sign` -1; calls, tokens and cost stay: they were paid).
void CountItem(v1::StageProgress& progress, const storage::v1::ItemRecord& item, int sign);

}  // namespace millrace
