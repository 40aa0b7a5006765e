// Claims of call keys. A runner claims the keys of a question before it looks them up, and the claim lasts until the
// outcome is committed or given up; the next runner then finds the outcome in the store. Without claims the pending
// record of a second attempt would overwrite that of the first, and the settlement of the first would delete that of
// the second.
//
// Equal calls are joined before they get here (call_in_flight.h). Claims are for calls that are not equal but ask the
// same question: of two aliases that share a target, with different rules, or a repair that another call asks at first.
//
// Runners can't block each other for ever. A runner takes all keys of one question at once, and keeps them while it
// takes those of the next: the same question after an answer that could not be used (a higher `retry`), or a repair (a
// longer conversation). So every runner takes keys in one order, that of (length of the conversation, `retry`).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "server/base/digest.h"
#include "server/base/loop.h"
#include "server/base/task.h"

namespace millrace {

// The claimed keys. Engine thread only, except for the destructors of claims.
class KeyClaims {
 public:
  explicit KeyClaims(Loop& loop);
  ~KeyClaims();
  KeyClaims(const KeyClaims&) = delete;

  // Thread-safe queue that returns the keys of destroyed claims to the engine thread.
  struct Returned {
    Returned(Loop& its_loop, KeyClaims* its_claims) : loop(its_loop), claims(its_claims) {}

    Loop& loop;
    KeyClaims* claims;  // null once it is gone; engine thread only
    std::mutex mutex;
    std::vector<Digest> keys;  // guarded by mutex
  };

  // The right to some keys, until this is destroyed. Any thread may destroy it. REQUIRES: the loop outlives the threads
  // that destroy claims.
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

  // Returns true if somebody has one of the keys, so that `Take` would wait.
  bool HaveAnyOf(const std::vector<Digest>& keys) const;

  // Resumes with a claim of all the keys once nobody else has any of them. Has no deadline: callers of the call stop
  // waiting at theirs.
  Task<std::shared_ptr<const Claim>> Take(std::vector<Digest> keys);

 private:
  void Release(const std::vector<Digest>& keys);

  Loop& loop_;
  const std::shared_ptr<Returned> returned_;
  std::map<Digest, std::shared_ptr<Event>> taken_;  // with the event of those who wait for the key; null: nobody
};

}  // namespace millrace
