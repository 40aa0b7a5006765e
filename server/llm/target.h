// Where calls can go: targets (a backend and its model) with their slots, and the aliases that stand for them. All
// aliases that name a target share it.
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
#include "server/llm/key.h"
#include "server/llm/retry.h"

namespace millrace {

// A configured backend.
struct BackendEntry {
  std::string name;
  std::unique_ptr<backend::Backend> backend;
  // Sent where the backend asks for it, and to no other origin than this (`https://host:port`).
  Secret secret;
  std::string secret_origin;
};

// A backend's model, with what is shared by all that call it.
struct Target {
  explicit Target(Loop& loop) : stored(loop) {}

  // `backend/model`.
  std::string Name() const;
  bool HasSlot() const { return in_flight < max_concurrency; }

  BackendEntry* entry = nullptr;
  std::string model;
  int32_t max_concurrency = 8;

  int32_t in_flight = 0;  // slots held: from being bound to the terminal event
  int32_t storing = 0;    // answers that wait for their commit, at most max_concurrency
  Event stored;           // there is room for another
  // The provider asked for quiet until then.
  TimePoint quiet_until{};
  Loop::Timer quiet_timer;
  int64_t waiting = 0;  // calls in the queue that could go here
  // Failures since the last answer.
  int64_t failures = 0;
};

// A target of an alias.
struct Route {
  Target* target = nullptr;
  int32_t priority = 0;  // lower first
  std::string identity;  // CanonicalIdentity
};

// What follows where it is unknown whether a call was answered.
enum class UnknownPolicy { kRetry, kFail };

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
  std::optional<Duration> ttl;
  UnknownPolicy on_unknown = UnknownPolicy::kRetry;
};

}  // namespace millrace
