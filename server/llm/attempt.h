// The record of one attempt through its three moments: started, answered, settled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/llm/cache.h"
#include "server/llm/call_in_flight.h"
#include "server/llm/host.h"
#include "server/llm/queue.h"
#include "server/storage/ledger.h"
#include "server/storage/store.h"

namespace millrace {

// Ids of attempts. They sort by the start of the process, then in the order in which they were made.
class AttemptNames {
 public:
  AttemptNames(const Clock& clock, Random& random);

  std::string Next();

 private:
  std::string prefix_;
  uint64_t count_ = 0;
};

// Follows one attempt: commits its moments (a) and (b), and returns its slot when it has ended. One use.
class AttemptRecorder final : public AttemptMoments {
 public:
  struct Deps {
    Loop& loop;
    Pool& pool;
    Store& store;
    Queue& queue;
    SettledNumbers& numbers;
    AttemptNames& names;
  };
  // REQUIRES: `target` admitted the attempt; the recorder frees and ends it.
  AttemptRecorder(Deps deps, CallInFlight& call, const Digest& call_key, Target& target, const Admitted& admitted);

  Task<bool> Started() override;
  void Received() override;
  void Ended() override;
  Task<void> Answered(RawAnswer answer) override;
  void Delta(std::string_view text) override { call_.partial_text.Add(text); }

  // Empty: the attempt has no record.
  const std::string& id() const { return record_.attempt().id(); }
  // Returns whether nobody waited any more before anything was sent.
  bool was_given_up() const { return given_up_; }

  // Writes the end of the attempt into the call's progress. A failure is also committed: this waits until the record is
  // readable, not until it is durable.
  Task<void> Finish(const AttemptResult& result);

 private:
  bool MustGiveUp();
  void Free();
  void FillRecord();

  Target& target_;
  const Admitted admitted_;
  Deps deps_;
  CallInFlight& call_;
  const Digest call_key_;
  storage::v1::PendingRecord record_;
  TimePoint start_;
  bool started_ = false;
  bool answered_ = false;
  bool given_up_ = false;
  bool is_freed_ = false;
  bool ended_ = false;
  std::optional<TimePoint> first_byte_;
  Duration latency_{};
};

}  // namespace millrace
