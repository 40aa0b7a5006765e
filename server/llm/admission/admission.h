// The seam of limits: what decides when an attempt may go to a target. Each limit is a file in this folder; a Target
// (server/llm/target.h) asks all of its limits, and an attempt begins when all agree. Limits read no clock: time is
// passed to them. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "backends/sdk/backend.h"
#include "server/base/clock.h"

namespace millrace {

// Kinds of calls. Their latencies have nothing in common, so that what is learned from one kind says nothing about the
// other.
enum class CallKind : uint8_t { kChat, kEmbed };
inline constexpr size_t kCallKinds = 2;
inline constexpr size_t IndexOf(CallKind kind) { return static_cast<size_t>(kind); }
inline constexpr CallKind OtherThan(CallKind kind) {
  return kind == CallKind::kChat ? CallKind::kEmbed : CallKind::kChat;
}

// Needs of an attempt, estimated before it begins.
struct Estimate {
  int64_t tokens = 0;     // of the prompt and of the longest answer
  bool is_retry = false;  // the call failed at this target before
  CallKind kind = CallKind::kChat;
};

// An attempt that was admitted. Its owner keeps it and passes it to Freed and Ended.
struct Admitted {
  Estimate estimate;         // `tokens`: as forecast (TokenForecast)
  int64_t tokens_asked = 0;  // as estimated by the call
  int64_t number = 0;        // of the target's attempts, from 1 without gaps
  TimePoint began{};
  int32_t in_flight = 0;          // attempts at the target when it began, this one included
  int32_t in_flight_of_kind = 0;  // those of its kind
};

// End of an attempt.
struct AttemptEnd {
  backend::Outcome outcome = backend::Outcome::kAnswered;
  std::optional<int64_t> tokens;        // that the provider counted; absent: not known. Target bounds them
  std::optional<Duration> retry_after;  // that the provider asked for
  bool was_sent = true;                 // false: given up before a byte was sent
  backend::RateHint rate;               // that the provider reported
};

// One limit of one target.
class Admission {
 public:
  virtual ~Admission() = default;

  // Returns the earliest time at which the attempt may begin: `now` or earlier if at once; kNever if not before another
  // attempt has ended.
  virtual TimePoint NotBefore(const Estimate& estimate, TimePoint now) const = 0;
  // The attempt begins. REQUIRES: NotBefore allowed it at this time.
  virtual void Began(const Admitted& attempt) = 0;
  // The last byte of the response came, or the attempt failed: the provider does not work on it any more.
  virtual void Freed(const Admitted& attempt, TimePoint now) = 0;
  // The outcome is known. Called once, after Freed.
  virtual void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) = 0;

  // Returns a word for what a call waits for: `slot`, `requests_per_minute`.
  virtual std::string_view name() const = 0;
};

// Returns whether the target refused the attempt because it had too many.
inline bool IsRejection(backend::Outcome outcome) {
  return outcome == backend::Outcome::kRateLimited || outcome == backend::Outcome::kOverloaded;
}

// Returns whether the target refuses calls until a human repairs it.
inline bool NeedsHuman(backend::Outcome outcome) {
  return outcome == backend::Outcome::kCredentials || outcome == backend::Outcome::kQuota ||
         outcome == backend::Outcome::kNoModel || outcome == backend::Outcome::kNoHost;
}

// Returns whether the target accepted the call, even if its answer can't be used or it refuses what was asked.
inline bool ShowsThatCallsAreAccepted(backend::Outcome outcome) {
  return outcome == backend::Outcome::kAnswered || outcome == backend::Outcome::kAnsweredBad ||
         outcome == backend::Outcome::kRefused || outcome == backend::Outcome::kTooLarge;
}

// Returns whether the outcome is a fault of the target, and not of the call or of nobody.
inline bool IsTargetFault(backend::Outcome outcome) {
  switch (outcome) {
    case backend::Outcome::kRateLimited:
    case backend::Outcome::kOverloaded:
    case backend::Outcome::kServerError:
    case backend::Outcome::kCredentials:
    case backend::Outcome::kQuota:
    case backend::Outcome::kNoModel:
    case backend::Outcome::kNoHost:
    case backend::Outcome::kNotSent:
    case backend::Outcome::kUnknown:
    case backend::Outcome::kPartial:
      return true;
    case backend::Outcome::kAnswered:
    case backend::Outcome::kRefused:
    case backend::Outcome::kAnsweredBad:
    case backend::Outcome::kTooLarge:
    case backend::Outcome::kCancelled:
      return false;
  }
  return false;
}

}  // namespace millrace
