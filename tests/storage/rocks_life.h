// Simulated process with a store on disk: its loop, pool and store, with writers of numbers that record which numbers
// were acknowledged.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "server/storage/rocks_store.h"
#include "tests/storage/numbers.h"
#include "tests/storage/run_task.h"
#include "tests/storage/temporary_directory.h"

namespace millrace {

class RocksLife {
 public:
  explicit RocksLife(RocksOptions options) {
    StatusOr<std::unique_ptr<Store>> opened = OpenRocksStore(std::move(options), loop_, *pool_);
    status_ = opened.status();
    if (opened.ok()) store_ = *std::move(opened);
  }

  // Returns OK, or the error of opening the store.
  const Status& status() const { return status_; }
  Loop& loop() { return loop_; }
  Store& store() { return *store_; }

  Status Put(std::string key, std::string value, CommitMode mode = CommitMode::kDurable) {
    WriteBatch batch;
    batch.Put(std::move(key), std::move(value));
    return RunTask(loop_, store_->Commit(std::move(batch), mode));
  }
  StatusOr<std::optional<std::string>> Get(std::string key) { return RunTask(loop_, store_->Get(std::move(key))); }

  // Commits the numbers [first, first + count) in batches of `bytes` bytes, `in_flight` at a time. Tries each number up
  // to `tries` times. Returns the numbers that were acknowledged.
  std::set<int> Write(int first, int count, int in_flight, size_t bytes = 100, int tries = 1000) {
    Writing writing{
        .loop = loop_, .store = *store_, .next = first, .end = first + count, .bytes = bytes, .tries = tries};
    writing.running = in_flight;
    for (int i = 0; i < in_flight; ++i) loop_.Spawn(WriteNumbers(writing));
    loop_.Run();
    return writing.acked;
  }

  // Returns the numbers that the store has. A batch is stored in all families or in none.
  std::set<int> Found() {
    const std::set<int> found = FoundUnder(NumberPrefixes().front());
    for (const std::string& prefix : NumberPrefixes()) EXPECT_EQ(FoundUnder(prefix), found);
    return found;
  }

  // Returns how many of `numbers` the store lacks.
  int Missing(const std::set<int>& numbers) {
    const std::set<int> found = Found();
    return static_cast<int>(std::count_if(numbers.begin(), numbers.end(), [&](int n) { return !found.contains(n); }));
  }

 private:
  std::set<int> FoundUnder(const std::string& prefix) {
    std::set<int> found;
    for (std::string begin = prefix; !begin.empty();) {
      const StatusOr<ScanPage> page = RunTask(loop_, store_->Scan(begin, PrefixEnd(prefix), 10'000, 64 << 20));
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return found;
      for (const StoreEntry& entry : page->entries) {
        found.insert(std::stoi(entry.key.substr(prefix.size())) - kFirstNumber);
        EXPECT_EQ(entry.value.find_first_not_of(entry.value.front()), std::string::npos);
      }
      begin = page->next;
    }
    return found;
  }

  struct Writing {
    Loop& loop;
    Store& store;
    int next = 0;
    int end = 0;
    size_t bytes = 0;
    int tries = 0;
    int running = 0;
    std::set<int> acked = {};
  };

  static Task<void> WriteNumbers(Writing& writing) {
    while (writing.next < writing.end) {
      const int number = writing.next++;
      for (int i = 0; i < writing.tries; ++i) {
        WriteBatch batch;
        PutNumber(batch, number, std::string(writing.bytes, static_cast<char>('a' + number % 26)));
        const Status status = co_await writing.store.Commit(std::move(batch));
        if (status.ok()) {
          writing.acked.insert(number);
          break;
        }
        EXPECT_EQ(ReasonOf(status), Reason::kStoreUnavailable) << status;
        if (i + 1 < writing.tries) co_await writing.loop.Sleep(std::chrono::milliseconds(5));
      }
    }
    if (--writing.running == 0) writing.loop.Stop();
  }

  SystemClock clock_;
  Loop loop_{clock_};
  const std::unique_ptr<Pool> pool_ = MakeThreadPool(loop_, 2);
  std::unique_ptr<Store> store_;
  Status status_;
};

}  // namespace millrace
