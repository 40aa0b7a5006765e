// A store whose callers wait: reads and commits of runs are retried while the store is being reopened or has no room at
// all, so that nothing computed or paid for is lost. Requests of clients use the store itself, and fail with a delay
// after which to retry.
#pragma once

#include "server/base/loop.h"
#include "server/storage/store.h"

namespace millrace {

class PatientStore final : public Store {
 public:
  PatientStore(Loop& loop, Store& inner) : loop_(loop), inner_(inner) {}

  Task<Status> Commit(WriteBatch batch, CommitMode mode = CommitMode::kDurable) override;
  Task<StatusOr<std::optional<std::string>>> Get(std::string key) override;
  Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) override;
  Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                                Direction direction) override;
  Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) override;
  StoreState state() const override { return inner_.state(); }
  Task<void> WaitForChange(StoreState from) override { return inner_.WaitForChange(from); }
  StoreFigures Figures() const override { return inner_.Figures(); }

 private:
  // Resumes when a retry may help.
  Task<void> AwaitRetry();

  Loop& loop_;
  Store& inner_;
};

}  // namespace millrace
