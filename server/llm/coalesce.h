// Identical calls in flight are one call: the call table. Whoever asks first, pays; others wait for the same answer. A
// waiter that leaves (stop, deadline) ends only its own waiting: the call goes on for the others, an attempt in flight
// is read to its end and stored in any case, and who came next takes over what the call has cost.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/base/digest.h"
#include "server/base/loop.h"
#include "server/llm/call.h"
#include "server/llm/progress.h"
#include "server/llm/queue.h"
#include "server/llm/target.h"

namespace millrace {

// Keys that are being asked for, whatever call they belong to (two aliases may share a target), until what came of it
// is committed: then the next one finds it. Without that a second attempt would overwrite the pending record of the
// first, and the first one's settlement would delete that of the second.
class KeyClaims {
 public:
  explicit KeyClaims(Loop& loop);
  ~KeyClaims();
  KeyClaims(const KeyClaims&) = delete;

  // Where claims leave their keys, on any thread, for the loop's to take them back.
  struct Returned {
    Returned(Loop& its_loop, KeyClaims* its_claims) : loop(its_loop), claims(its_claims) {}

    Loop& loop;
    KeyClaims* claims;  // null once it is gone; the loop's thread only
    std::mutex mutex;
    std::vector<Digest> keys;  // guarded by mutex
  };

  // Some keys, claimed until this is destroyed, on any thread. The loop must outlive the threads that destroy claims.
  class Claim {
   public:
    Claim(std::weak_ptr<Returned> returned, std::vector<Digest> keys)
        : returned_(std::move(returned)), keys_(std::move(keys)) {}
    Claim(const Claim&) = delete;
    ~Claim();

    bool Has(const Digest& key) const;

   private:
    const std::weak_ptr<Returned> returned_;
    const std::vector<Digest> keys_;
  };

  // Takes all of the keys once none of them is taken.
  Task<std::shared_ptr<const Claim>> Take(std::vector<Digest> keys);

 private:
  void Release(const std::vector<Digest>& keys);

  Loop& loop_;
  const std::shared_ptr<Returned> returned_;
  std::map<Digest, std::shared_ptr<Event>> taken_;  // with who waits for it; null: nobody
};

// One who waits for a call.
struct CallWaiter {
  CallWaiter(Loop& loop, const CallContext& its_context) : context(its_context), changed(loop) {}

  const CallContext& context;
  Event changed;  // the call is over, or the waiter is to stop
};

// A call in flight, and who waits for it.
struct CallInFlight {
  CallInFlight(Loop& loop, const Digest& its_key, CallRequest its_request, std::string its_canonical,
               const Alias& its_alias)
      : key(its_key),
        request(std::move(its_request)),
        canonical(std::move(its_canonical)),
        alias(its_alias),
        changed(loop) {}

  // Nobody waits: no new attempt is worth starting.
  bool IsAbandoned() const { return waiters.empty(); }
  // Who pays now. Not while it is abandoned.
  const CallContext& PaidBy() const { return waiters.front()->context; }
  int64_t Priority() const;
  std::vector<std::string> ItemIds() const;

  const Digest key;
  const CallRequest request;
  const std::string canonical;  // CanonicalRequest of its question
  const Alias& alias;
  bool look_up = true;
  std::optional<Duration> ttl;

  std::list<CallWaiter*> waiters;  // in the order in which they came
  Event changed;                   // for the call's own coroutine: granted, joined, left, draining

  CallProgress progress;
  // The newest failure of a target; it is what a waiter that gives up is told.
  std::optional<backend::Failure> failure;
  Target* failing = nullptr;         // its target, until it answers
  TimePoint first_attempt = kNever;  // when it began
  bool is_refused = false;           // by every target, for what people must mend
  bool has_failed = false;           // an attempt; from then on `max_elapsed` of its waiters counts
  int32_t attempt_number = 0;
  std::optional<Digest> asked_key;  // of the attempt in flight, until its answer is judged
  // Of the questions that were asked, the newest last.
  std::vector<std::shared_ptr<const KeyClaims::Claim>> claims;

  bool finished = false;
  CallWaiter* payer = nullptr;  // once it is finished; only compared
  Payer settled_for;            // whose batch has the settlement
  bool drained = false;         // ended because the server goes down: nothing is settled
  CallResult result;
};

// All calls in flight.
class CallTable {
 public:
  // Calls of the same key are the same question with the same rules.
  std::shared_ptr<CallInFlight> Find(const Digest& key) const;
  void Add(std::shared_ptr<CallInFlight> call);
  void Remove(const Digest& key);

  // In the order of the keys.
  const std::map<Digest, std::shared_ptr<CallInFlight>>& calls() const { return calls_; }
  // Lets every call look around: the server drains.
  void WakeAll();

 private:
  std::map<Digest, std::shared_ptr<CallInFlight>> calls_;
};

}  // namespace millrace
