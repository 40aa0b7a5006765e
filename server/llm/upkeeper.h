// Upkeep of models at servers that load them on demand, as the configuration of the backend asks for (Upkeep in
// backends/sdk/errand.h): a model is loaded before the first call of a run, loaded again before the server drops it
// while a run uses it, unloaded after the last run, and pulled if the server does not have it. All of it costs nothing
// and is not recorded; it is logged.
//
// Errands of a target are done one after the other. While a model is loaded for a run that uses it, or pulled, no
// attempt begins at the target (Preparation). Calls go to other targets while it is pulled, or if loading it takes
// long.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/sdk/errand.h"
#include "server/base/loop.h"
#include "server/llm/host.h"
#include "server/llm/queue.h"
#include "server/llm/target.h"

namespace millrace {

// Engine thread only.
class Upkeeper {
 public:
  // `pulled` is called when a pull has ended. All arguments must outlive it and the loop's coroutines.
  Upkeeper(Loop& loop, Queue& queue, AttemptSender& sender, std::function<void(Target&)> pulled)
      : loop_(loop),
        queue_(queue),
        sender_(sender),
        pulled_(std::move(pulled)),
        stop_(std::make_shared<StopSignal>(loop)),
        done_(loop) {}

  // A run begins to use these targets, until what this returns is destroyed. It must not outlive the upkeeper.
  std::shared_ptr<void> Use(std::vector<Target*> targets);

  // The server does not have the target's model: pulls it, if the configuration allows it. Returns true if a pull is in
  // flight. After the end of a pull none is started for a minute: it may have failed, or the server may list the model
  // under another name.
  bool Pull(Target& target);
  // Returns the newest line of progress of the target's pull; empty if none is in flight.
  std::string PullProgress(const Target& target) const;

  // Starts no more errands but those that unload, and stops the others. Resumes when all have ended, or at `deadline`.
  Task<void> Drain(TimePoint deadline);

 private:
  class Uses;
  class Progress;
  struct State {
    int64_t runs = 0;  // that use it
    std::deque<backend::Errand> wanted;
    bool is_busy = false;  // an errand is in flight
    bool is_pulling = false;
    std::string progress;
    TimePoint pulled_at{};  // end of the newest pull
    bool has_pulled = false;
    TimePoint warm_at{};  // end of the newest warm-up
    Loop::Timer keep_warm;
    Loop::Timer patience;  // of calls that could go elsewhere while the model is loaded
  };

  void Begin(Target& target);
  void End(Target& target);
  void Want(Target& target, backend::Errand errand);
  void Hold(Target& target, backend::Errand errand);
  // Ends what Hold began, if anything.
  void Release(Target& target);
  void KeepWarmLater(Target& target);
  void KeepWarm(Target& target);
  Task<void> Tend(Target& target);
  Task<bool> Do(Target& target, backend::Errand errand);

  Loop& loop_;
  Queue& queue_;
  AttemptSender& sender_;
  const std::function<void(Target&)> pulled_;
  const std::shared_ptr<StopSignal> stop_;  // of errands that do not unload
  std::map<const Target*, State> states_;   // only looked up
  int64_t busy_ = 0;                        // targets with an errand in flight
  bool is_draining_ = false;
  Event done_;
};

}  // namespace millrace
