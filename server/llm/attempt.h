// The record of one attempt through its three moments: started, answered, settled.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/llm/cache.h"
#include "server/llm/coalesce.h"
#include "server/llm/host.h"
#include "server/llm/queue.h"
#include "server/storage/store.h"

namespace millrace {

// Ids of attempts: they sort by the start of the process and the order in it.
class AttemptNames {
 public:
  AttemptNames(const Clock& clock, Random& random);

  std::string Next();

 private:
  std::string prefix_;
  uint64_t count_ = 0;
};

// Follows one attempt: commits its moments (a) and (b), and gives its slot back when it has ended. One use.
class AttemptRecorder final : public AttemptMoments {
 public:
  struct Parts {
    Loop& loop;
    Pool& pool;
    Store& store;
    Queue& queue;
    AttemptNames& names;
  };
  // `target` is bound: the recorder holds its slot.
  AttemptRecorder(Parts parts, CallInFlight& call, const Digest& call_key, Target& target);

  Task<bool> Started() override;
  void Ended() override;
  Task<void> Answered(int http_status, std::string raw) override;

  // Empty: the attempt has no record.
  const std::string& id() const { return record_.attempt().id(); }
  // Nobody waited any more before anything was sent.
  bool was_given_up() const { return given_up_; }

  // Writes the outcome into the call's progress; a failure is also committed, without being waited for to be durable.
  Task<void> Finish(const AttemptResult& result);

 private:
  bool MustGiveUp();

  Target& target_;
  Parts parts_;
  CallInFlight& call_;
  const Digest call_key_;
  storage::v1::AttemptRecord record_;
  TimePoint start_;
  bool started_ = false;
  bool answered_ = false;
  bool given_up_ = false;
  bool has_slot_ = true;
  bool ended_ = false;
  Duration latency_{};
};

}  // namespace millrace
