// The one thread that writes to the database: takes all batches that piled up, writes them as one, syncs as the
// durability asks, and reports once for the whole group. After an error it lets the database be opened anew, as often
// as it takes; whatever was not yet reported as stored is reported as failed. It also watches the disk's free space.
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

class Writer {
 public:
  // What became of the oldest `finished` batches, and how the store is now.
  struct Report {
    size_t finished = 0;
    Status status;
    StoreState state = StoreState::kOk;
    uint64_t epoch = 0;
  };
  // `report` is called on the writer's thread.
  Writer(Database& database, DiskGuard& guard, Durability durability, const Clock& clock,
         std::function<void(Report)> report);
  // Writes what was submitted, and ends.
  ~Writer();
  Writer(const Writer&) = delete;

  // `epoch`: of the last report that the caller has seen. Batches that were submitted in ignorance of a failure fail
  // too: none is stored behind one that was not.
  struct Entry {
    WriteBatch batch;
    CommitMode mode;
    uint64_t epoch;
  };
  // Any thread, but one at a time.
  void Submit(std::vector<Entry> entries);

  // Commits, batches and syncs. Any thread.
  StoreFigures Figures() const;

 private:
  enum class Trouble {
    kNone,
    kPoorly,  // the database works but wants to be reopened: background work stopped
    kBroken,  // it takes no writes
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
  bool full_ = false;  // the trouble is a full disk: no use to reopen before there is room
  Duration backoff_{};
  TimePoint recover_at_ = kNever;
  TimePoint sync_at_ = kNever;  // kInterval: when what was written must be synced
  TimePoint watch_at_{};
  size_t unwatched_bytes_ = 0;  // written since the disk was looked at
  StoreState reported_ = StoreState::kOk;

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Entry> queue_;  // guarded by mutex_
  bool stopping_ = false;    // guarded by mutex_
  StoreFigures figures_;     // guarded by mutex_
  Histogram syncs_;          // guarded by mutex_
  std::thread thread_;       // last: it uses the others
};

}  // namespace millrace
