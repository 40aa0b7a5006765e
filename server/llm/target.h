// The places that calls can go to: targets (a backend and one of its models), and the aliases that lead to them.
// Aliases that name the same target share it, with its slots and its health.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "server/base/clock.h"
#include "server/base/loop.h"
#include "server/base/secret.h"
#include "server/llm/retry.h"

namespace millrace {

// A configured backend.
struct BackendEntry {
  std::string name;
  std::unique_ptr<backend::Backend> backend;
  // Sent when the backend asks for it, and only to this origin (OriginOf); empty: to none.
  Secret secret;
  std::string secret_origin;
};

// A backend's model: its slots, the Retry-After of its provider, and its health. In memory only: a restart forgets all
// of it. It decides nothing; these write it:
// - the queue: slots, waiting calls and Retry-After (for the runner of a call whose attempt failed with one);
// - the recorder of an attempt: answers that wait for their commit, and the end of a series of failures;
// - the runner of a call: failures of the target.
// A limit of another kind (a rate, a breaker) belongs here.
class Target {
 public:
  Target(Loop& loop, BackendEntry& entry, std::string model, int32_t max_concurrency);

  BackendEntry& entry() const { return entry_; }
  const backend::Manifest& manifest() const { return entry_.backend->manifest(); }
  const std::string& model() const { return model_; }
  // Returns `backend/model`.
  std::string Name() const;

  // Slots. A call has one from the choice of this target until its attempt has ended; if it was answered, until the
  // answer may wait for its commit.
  int32_t max_concurrency() const { return max_concurrency_; }
  int32_t in_flight() const { return in_flight_; }
  bool HasSlot() const { return in_flight_ < max_concurrency_; }
  void TakeSlot() { ++in_flight_; }
  void ReturnSlot() { --in_flight_; }

  // Calls in the queue that could go here.
  int64_t waiting() const { return waiting_; }
  void AddWaiting(int64_t change) { waiting_ += change; }

  // Answers that wait for their commit, at most as many as slots: a slow disk must not let answers pile up in memory.
  // Resumes when this answer may wait too.
  Task<void> BeginStoring();
  void EndStoring();

  // Sets the provider's Retry-After: the queue grants no slot before `until`. Returns false if a later time is known.
  bool HoldOff(TimePoint until);
  TimePoint retry_after_until() const { return retry_after_until_; }

  // Health: failures since the last answer.
  void CountFailure() { ++failures_; }
  void CountAnswer() { failures_ = 0; }
  bool is_failing() const { return failures_ > 0; }

 private:
  BackendEntry& entry_;
  const std::string model_;
  const int32_t max_concurrency_;
  int32_t in_flight_ = 0;
  int64_t waiting_ = 0;
  int32_t storing_ = 0;
  Event stored_;
  TimePoint retry_after_until_{};
  int64_t failures_ = 0;
};

// A target of an alias.
struct Route {
  Target* target = nullptr;
  int32_t priority = 0;  // lower first
  std::string identity;  // CanonicalIdentity
};

// Time limits of one attempt.
struct CallTimeouts {
  Duration connect = std::chrono::seconds(5);
  Duration first_byte = std::chrono::seconds(120);
  Duration idle = std::chrono::seconds(30);
  Duration total = std::chrono::seconds(300);
};

// A model as pipelines name it.
struct Alias {
  std::string name;
  std::vector<Route> routes;  // by priority, then as configured
  RetryPolicy retry;
  CallTimeouts timeouts;
  std::optional<Duration> ttl;  // `cache.ttl` of the configuration: largest age of a cached answer
};

}  // namespace millrace
