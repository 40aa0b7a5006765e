// Store in memory for tests and the simulator. MemoryDisk is the part that survives a crash: a crash is Loop::Abandon
// and the destruction of the store, a restart is a new MemoryStore over the same disk. A killed process loses nothing
// that was written; a power loss (LoseUnsynced) loses a suffix of the batches that were not synced. Time passes by the
// loop's clock, so that a simulated clock gives the same order of events for the same seed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/loop.h"
#include "server/base/random.h"
#include "server/storage/durability.h"
#include "server/storage/store.h"

namespace millrace {

// The data, and the changes that a power loss may undo. One thread.
class MemoryDisk {
 public:
  // Makes an empty disk. `seed` decides how much of a failed commit stays on the disk.
  explicit MemoryDisk(uint64_t seed = 1) : random_(seed) {}
  MemoryDisk(const MemoryDisk&) = delete;

  const std::map<std::string, std::string>& data() const { return data_; }
  // Return the numbers of batches written since the start, and of those that a power loss may lose.
  uint64_t written() const { return written_; }
  uint64_t unsynced() const { return undos_.size(); }

  // Simulates a power loss: keeps a random prefix, in commit order, of the batches that were not synced. REQUIRES: the
  // store that used the disk is destroyed.
  void LoseUnsynced(Random& random);

  // Sets the room for further batches, in bytes; nullopt: unlimited. The store notices on a later turn.
  void SetRoom(std::optional<int64_t> bytes);
  std::optional<int64_t> room() const { return room_; }

  // Flips one bit of the value of `key`, to simulate damage. Returns false if the key does not exist or its value is
  // empty.
  bool FlipBit(const std::string& key, uint64_t bit);

  // Faults to inject; each one that happens lowers its number.
  struct Faults {
    int commits = 0;  // next groups whose write fails
    int syncs = 0;    // next syncs that fail
    int reads = 0;    // next reads that fail
  };
  Faults faults;

 private:
  friend class MemoryStore;
  // Previous values of a batch's keys, in the order of its changes.
  using Undo = std::vector<std::pair<std::string, std::optional<std::string>>>;

  bool HasRoomFor(size_t bytes) const { return !room_ || *room_ >= static_cast<int64_t>(bytes); }
  void Write(const WriteBatch& batch);
  void MarkSynced(uint64_t up_to);
  void UndoLast();

  std::map<std::string, std::string> data_;
  std::deque<Undo> undos_;  // one for each batch that is not synced, oldest first
  uint64_t written_ = 0;
  std::optional<int64_t> room_;
  std::function<void()> on_room_;  // tells the store that the room has changed
  Random random_;
};

// Bugs on purpose, for tests of the tests: each check of the store's promises must find them.
enum class MemoryMutant {
  kNone,
  kAckBeforeStore,  // resumes before the batch is written
  kAckBeforeSync,   // resumes before the batch is synced
  kSkipCommit,      // acknowledges every n-th batch and drops it
  kReorder,         // writes the batches of a group in reverse order
};

struct MemoryStoreOptions {
  Durability durability = {};
  // Costs in simulated time.
  Duration write_cost = std::chrono::microseconds(20);  // of one group
  Duration sync_cost = std::chrono::milliseconds(2);
  Duration read_cost = std::chrono::microseconds(20);
  Duration reopen_delay = std::chrono::milliseconds(200);
  // Bytes of room below which the state is kDiskLow.
  int64_t disk_reserve = 0;
  MemoryMutant mutant = MemoryMutant::kNone;
  uint64_t mutant_every = 10;  // the n of kSkipCommit
};

// Store over a MemoryDisk. REQUIRES: when it is destroyed, no call is suspended and nothing is left to write, or the
// loop has been abandoned.
class MemoryStore final : public Store {
 public:
  MemoryStore(Loop& loop, MemoryDisk& disk, MemoryStoreOptions options = {});
  ~MemoryStore() override;

  Task<Status> Commit(WriteBatch batch, CommitMode mode = CommitMode::kDurable) override;
  Task<StatusOr<std::optional<std::string>>> Get(std::string key) override;
  Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) override;
  Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max = 1000,
                                size_t bytes_max = 1 << 20, Direction direction = Direction::kForwards) override;
  Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) override;
  StoreState state() const override { return state_; }
  Task<void> WaitForChange(StoreState from) override;
  StoreFigures Figures() const override;

 private:
  struct Ticket;
  using Group = std::deque<std::shared_ptr<Ticket>>;

  Task<void> WriteQueue();
  Task<void> SyncLater();
  bool WriteGroup(Group& group);
  bool SyncFails();
  void Finish(const Group& group, const Status& status);
  void FailWith(Group group, size_t written);
  void StartSyncTimer();
  void Reopen();
  void SetState(StoreState state);
  StoreState StateByRoom() const;
  Task<Status> BeginRead();

  Loop& loop_;
  MemoryDisk& disk_;
  const MemoryStoreOptions options_;
  StoreState state_;
  Event changed_;
  Group queue_;
  bool writing_ = false;
  bool sync_due_ = false;           // for kInterval: a sync is scheduled
  std::optional<int64_t> full_at_;  // room at which a write failed; nullopt if none did
  Loop::Timer sync_timer_;
  Loop::Timer reopen_timer_;
  Loop::Timer room_timer_;
  StoreFigures figures_;
};

}  // namespace millrace
