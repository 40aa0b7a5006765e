// The only thread that writes to the database. It takes all waiting batches, writes them as one, syncs as the
// durability asks, and reports once for the whole group. After an error it reports the batches that it has not reported
// as stored as failed, and reopens the database until that succeeds. It also watches the disk's free space.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "server/base/clock.h"
#include "server/base/histogram.h"
#include "server/base/status.h"
#include "server/storage/database.h"
#include "server/storage/disk_guard.h"
#include "server/storage/durability.h"
#include "server/storage/store.h"

namespace millrace {

// Owner of the writer thread.
class Writer {
 public:
  // Outcome of the oldest batches that have not been reported, and the state of the store.
  struct Report {
    size_t finished = 0;  // number of these batches
    Status status;        // their common outcome
    StoreState state = StoreState::kOk;
    uint64_t epoch = 0;  // number of failures so far
  };
  // Starts the thread, which calls `report`. All references must outlive the writer.
  Writer(Database& database, DiskGuard& guard, Durability durability, const Clock& clock,
         std::function<void(Report)> report);
  // Writes the batches that were submitted and joins the thread.
  ~Writer();
  Writer(const Writer&) = delete;

  struct Entry {
    WriteBatch batch;
    CommitMode mode;
    // Epoch of the last report that the caller had seen. The writer fails a batch of an epoch before its own: the
    // caller did not know yet that an earlier batch failed, and no batch may be stored after one that is not.
    uint64_t epoch;
  };
  // Appends batches to the queue. Any thread, but one at a time.
  void Submit(std::vector<Entry> entries);

  // Returns the numbers of commits, batches and syncs; other figures are 0. Any thread.
  StoreFigures Figures() const;

 private:
  enum class Trouble {
    kNone,
    kPoorly,  // the database works but must be reopened, because its background work stopped
    kBroken,  // the database accepts no writes
  };

  void Run();
  std::vector<Entry> Take(TimePoint until);
  bool stopping() const;
  void WriteGroup(std::vector<Entry> group);
  void SyncLog();
  void Watch();
  void Fall(Trouble trouble, const Status& error, size_t finished);
  void Recover();
  StoreState State() const;

  Database& database_;
  DiskGuard& guard_;
  const Durability durability_;
  const Clock& clock_;
  const std::function<void(Report)> report_;

  // The writer's thread only.
  uint64_t epoch_ = 0;
  Trouble trouble_ = Trouble::kNone;
  bool full_ = false;  // the trouble is a full disk, so that a reopening before it has room would fail
  Duration backoff_{};
  TimePoint recover_at_ = kNever;
  TimePoint sync_at_ = kNever;  // for kInterval: time of the next sync
  TimePoint watch_at_{};
  size_t unwatched_bytes_ = 0;  // bytes written since the last measurement of the disk
  StoreState reported_ = StoreState::kOk;

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Entry> queue_;  // guarded by mutex_
  bool stopping_ = false;    // guarded by mutex_
  StoreFigures figures_;     // guarded by mutex_
  Histogram syncs_;          // guarded by mutex_
  std::thread thread_;       // last member, because it uses the others
};

}  // namespace millrace
