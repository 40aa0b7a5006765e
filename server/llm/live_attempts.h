// Attempts of runs that no stored batch counts yet: of calls in flight, and of calls that have ended until their
// payer's batch is stored. Without them, a call that is retried for hours would show no attempt.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct AttemptCounts {
  int64_t attempts = 0;  // begun
  int64_t maybe_billed = 0;

  void Add(const AttemptCounts& more) {
    attempts += more.attempts;
    maybe_billed += more.maybe_billed;
  }
};

// By the stage that pays for them.
using AttemptsByStage = std::map<std::string, AttemptCounts, std::less<>>;

// Attempts of calls that have ended. Engine thread; handles may be destroyed on any thread.
class SettlingAttempts {
 public:
  // Counts the attempts until the returned handle is destroyed. Null if there are none or no run pays for them.
  std::shared_ptr<const void> Hold(const std::string& run, const std::string& stage, const AttemptCounts& counts);
  // Adds the attempts of a run.
  void AddTo(std::string_view run, AttemptsByStage& by_stage) const;

 private:
  struct Held {
    std::string run;
    std::string stage;
    AttemptCounts counts;
  };

  std::vector<std::weak_ptr<const Held>> held_;
  size_t prune_at_ = 64;  // size of the list at which handles that are gone are removed
};

}  // namespace millrace
