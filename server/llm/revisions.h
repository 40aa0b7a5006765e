// Revisions of models whose servers report them, such as the digest of an Ollama model. A revision is a part of the
// model's identity and so of call keys and memo keys: answers of a model that was pulled again under its old name are
// not reused.
//
// A revision is learned by a probe: before the first call after the start, and before later ones if the newest probe is
// older than a second. A run learns the revisions when its episode begins and keeps them until it ends (ModelLease): a
// model that is pulled meanwhile counts as the old one for this run. The newest revision is stored, so that remembered
// answers are found while the server is down.
//
// A revision that was never known has no remembered answers. Calls then wait for the first probe that succeeds, because
// an answer of the model can only come after it. Calls that can go elsewhere wait for that probe only, even if it
// fails; what the model answers them, once it is there, is kept for their run only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "server/base/loop.h"
#include "server/llm/blockage.h"
#include "server/llm/model_lease.h"
#include "server/llm/models.h"
#include "server/llm/prober.h"
#include "server/storage/store.h"

namespace millrace {

// Engine thread only.
class Revisions {
 public:
  // All arguments must outlive it and the loop's coroutines.
  Revisions(Loop& loop, Store& store, const Models& models, Prober& prober)
      : loop_(loop), store_(store), models_(models), prober_(prober), changed_(loop) {}

  // Returns the identities of the alias's models, as far as they are known. Null: the revisions of all of them are not
  // known.
  std::shared_ptr<const Identities> Find(const Alias& alias) const;
  // Returns the identities for memo keys. Models whose revision is not known get one that nothing else has.
  std::shared_ptr<const Identities> FindOrInvent(const Alias& alias) const;

  // Returns true if the newest probes of the alias's servers are new enough, or if a probe in flight can be ignored
  // because its server has failed the one before.
  bool IsFresh(const Alias& alias) const;
  // Starts the probes that are due.
  void Learn(const Alias& alias);
  // Returns when Learn has something to do; kNever while probes are in flight.
  TimePoint NextProbe(const Alias& alias) const;
  // Event that is notified when a probe has ended.
  Event& changed() { return changed_; }

  // Returns true if the server answered that it does not have the target's model.
  bool IsMissing(const Target& target) const;
  // Returns the failure of the newest probe of the alias's servers; null: none failed.
  const backend::Failure* FindFailure(const Alias& alias) const;
  // Returns the targets of the alias if none of their revisions is known and a human must repair the server of each:
  // it has refused this many probes in a row. Otherwise returns nothing.
  std::vector<Blockage> FindBlockages(const Alias& alias, int64_t refusals_min) const;
  // The target's model is being pulled: its revision is not known until Forget and the next probe.
  void Await(const Target& target) { known_[&target].is_awaited = true; }
  // Makes the next probe of the target's server due: something has changed there.
  void Forget(const Target& target);

 private:
  struct Known {
    std::optional<std::string> revision;  // nullopt: never known; empty: the server reports none
    bool is_missing = false;
    bool is_awaited = false;  // it will change soon
  };
  struct Server {
    bool is_loaded = false;  // the stored revisions were read
    bool is_asked = false;   // a probe is in flight
    TimePoint asked_at{};    // end of the newest probe
    bool has_asked = false;
    Duration took{};        // by the newest probe
    int64_t forgotten = 0;  // calls of Forget: a probe that began before one does not count
    std::optional<backend::Failure> failure;
    int64_t refused_in_row = 0;  // newest probes whose failures only a human can repair
  };

  Task<void> Ask(BackendEntry& entry);
  Task<void> Load(BackendEntry& entry);
  Task<void> Take(const BackendEntry& entry, const Probed& probed);
  Task<void> Keep(const Target& target);
  bool IsUnknown(const Route& route) const;
  TimePoint DueAt(const Server& server, bool is_unknown) const;
  // Returns how long the newest probe is new enough.
  static TimePoint DueAfter(const Server& server, bool is_unknown);

  Loop& loop_;
  Store& store_;
  const Models& models_;
  Prober& prober_;
  std::map<const BackendEntry*, Server> servers_;                             // only looked up
  std::map<const Target*, Known> known_;                                      // only looked up
  mutable std::map<const Alias*, std::shared_ptr<const Identities>> cached_;  // of Find; cleared by every change
  Event changed_;
};

}  // namespace millrace
