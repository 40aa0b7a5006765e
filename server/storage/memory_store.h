// A store in memory for tests and the simulator. What a machine would keep over a crash, MemoryDisk, outlives the
// store: a crash is Loop::Abandon, then dropping the store, and a restart is a new MemoryStore over the same disk. A
// killed process loses nothing that was written; a power loss (LoseUnsynced) loses a suffix of what was not synced.
// Time passes by the loop's clock, so that a simulated one gives the same order of events for the same seed.
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

// The data, and which part of it a power loss would spare. One thread.
class MemoryDisk {
 public:
  // The seed decides what a failed commit leaves behind.
  explicit MemoryDisk(uint64_t seed = 1) : random_(seed) {}
  MemoryDisk(const MemoryDisk&) = delete;

  const std::map<std::string, std::string>& data() const { return data_; }
  // Batches written since the start, and those of them that a power loss would lose.
  uint64_t written() const { return written_; }
  uint64_t unsynced() const { return undos_.size(); }

  // A power loss: keeps a random prefix, in commit order, of the batches that were not synced. The store that used the
  // disk must be gone.
  void LoseUnsynced(Random& random);

  // Room for so many more bytes of batches; nothing: endless. The store notices on a later turn.
  void SetRoom(std::optional<int64_t> bytes);
  std::optional<int64_t> room() const { return room_; }

  // Damage: flips one bit of the value of `key`; false where there is none or it is empty.
  bool FlipBit(const std::string& key, uint64_t bit);

  // Faults to come, counted down as they strike.
  struct Faults {
    int commits = 0;  // groups whose write fails
    int syncs = 0;    // syncs that fail
    int reads = 0;    // reads that fail
  };
  Faults faults;

 private:
  friend class MemoryStore;
  // What a batch replaced, in the order of its changes.
  using Undo = std::vector<std::pair<std::string, std::optional<std::string>>>;

  bool HasRoomFor(size_t bytes) const { return !room_ || *room_ >= static_cast<int64_t>(bytes); }
  void Write(const WriteBatch& batch);
  void MarkSynced(uint64_t up_to);
  void UndoLast();

  std::map<std::string, std::string> data_;
  std::deque<Undo> undos_;  // of the batches that are not synced, oldest first
  uint64_t written_ = 0;
  std::optional<int64_t> room_;
  std::function<void()> on_room_;  // the store's
  Random random_;
};

// A bug on purpose, for testing the tests: each must be found by whoever checks the store's promises.
enum class MemoryMutant {
  kNone,
  kAckBeforeStore,  // resumes before the batch is written
  kAckBeforeSync,   // resumes before the batch is synced
  kSkipCommit,      // acknowledges every n-th batch and drops it
  kReorder,         // writes what piled up in reverse order
};

struct MemoryStoreOptions {
  Durability durability = {};
  // Virtual costs.
  Duration write_cost = std::chrono::microseconds(20);  // of a group
  Duration sync_cost = std::chrono::milliseconds(2);
  Duration read_cost = std::chrono::microseconds(20);
  Duration reopen_delay = std::chrono::milliseconds(200);
  // Below so much room the state is kDiskLow.
  int64_t disk_reserve = 0;
  MemoryMutant mutant = MemoryMutant::kNone;
  uint64_t mutant_every = 10;  // the n of kSkipCommit
};

// It must be idle (no call suspended, nothing left to write) when it is destroyed, or the loop abandoned before.
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
  bool sync_due_ = false;           // of kInterval
  std::optional<int64_t> full_at_;  // the room at which a write failed; nothing: it did not
  Loop::Timer sync_timer_;
  Loop::Timer reopen_timer_;
  Loop::Timer room_timer_;
  StoreFigures figures_;
};

}  // namespace millrace
