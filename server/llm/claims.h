// Claims of call keys: whoever looks a key up claims it until the effects of its attempt are committed, whatever call
// it belongs to (two aliases may share a target). The next one then finds them. Without claims a second attempt would
// overwrite the pending record of the first, and the settlement of the first would delete that of the second.
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

// The claimed keys. Loop's thread only, but for the destructors of claims.
class KeyClaims {
 public:
  explicit KeyClaims(Loop& loop);
  ~KeyClaims();
  KeyClaims(const KeyClaims&) = delete;

  // Thread-safe queue that returns the keys of destroyed claims to the loop's thread.
  struct Returned {
    Returned(Loop& its_loop, KeyClaims* its_claims) : loop(its_loop), claims(its_claims) {}

    Loop& loop;
    KeyClaims* claims;  // null once it is gone; the loop's thread only
    std::mutex mutex;
    std::vector<Digest> keys;  // guarded by mutex
  };

  // Some keys, claimed until this is destroyed, on any thread. REQUIRES: the loop outlives the threads that destroy
  // claims.
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

  // Resumes with a claim of all the keys once nobody else has any of them.
  Task<std::shared_ptr<const Claim>> Take(std::vector<Digest> keys);

 private:
  void Release(const std::vector<Digest>& keys);

  Loop& loop_;
  const std::shared_ptr<Returned> returned_;
  std::map<Digest, std::shared_ptr<Event>> taken_;  // with the event of those who wait; null: nobody
};

}  // namespace millrace
