// The places that calls can go to: targets (a backend and one of its models), and the aliases that lead to them.
// Aliases that name the same target share it, with its slots and its health.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "server/base/clock.h"
#include "server/base/loop.h"
#include "server/base/random.h"
#include "server/base/secret.h"
#include "server/llm/admission/breaker.h"
#include "server/llm/admission/hold_off.h"
#include "server/llm/admission/preparation.h"
#include "server/llm/admission/silence.h"
#include "server/llm/admission/slots.h"
#include "server/llm/admission/token_forecast.h"
#include "server/llm/model_lease.h"
#include "server/llm/retry.h"

namespace millrace {

class AwsSigner;

// A configured backend.
struct BackendEntry {
  std::string name;
  std::unique_ptr<backend::Backend> backend;
  // Sent when the backend asks for it, and only to this origin (OriginOf); empty: to none.
  Secret secret;
  std::string secret_origin;
  std::string secret_source;   // for people: `the environment variable KEY`; empty: the backend has no secret
  std::string secret_problem;  // why the configured secret is missing; empty: it is not
  // Signs the backend's requests to the same origin; null if the backend asks for no signatures.
  std::shared_ptr<AwsSigner> aws;
};

// Limits of a target. They are equal for all aliases that lead to it.
struct TargetSettings {
  int32_t max_concurrency = 8;  // attempts in flight; 0: found out (SlotsByKind)
  int64_t rpm = 0;              // requests per minute; 0: no limit
  int64_t tpm = 0;              // tokens per minute, of prompts and answers; 0: no limit
  int32_t embed_texts = 0;      // texts of one request; 0: as the backend says
  BreakerSettings breaker;

  bool operator==(const TargetSettings&) const = default;
};

// A backend's model, with its limits (server/llm/admission) and its health. In memory only: a restart forgets all of
// it. It decides nothing but delays. The queue begins, frees and ends attempts and counts the calls that wait; the
// recorder of an attempt reports the bytes that come, counts answers that wait for their commit and notes errors; the
// upkeeper holds attempts back while the model is made ready (preparation). Nobody else writes it.
class Target {
 public:
  Target(Loop& loop, BackendEntry& entry, std::string model, const TargetSettings& settings);

  BackendEntry& entry() const { return entry_; }
  const backend::Manifest& manifest() const { return entry_.backend->manifest(); }
  const std::string& model() const { return model_; }
  const TargetSettings& settings() const { return settings_; }
  // Returns `backend/model`.
  std::string Name() const;
  // Returns the identity (CanonicalIdentity) of this revision of the model; empty: without a revision.
  std::string Identity(const std::string& revision) const;

  // Attempts in flight, and the largest number of them now.
  int32_t in_flight() const { return slots_->in_flight(); }
  int32_t in_flight(CallKind kind) const { return slots_->in_flight(kind); }
  int32_t concurrency_limit() const { return slots_->limit(); }
  // Returns whether all slots of this kind are in use although the other kind may have one.
  bool IsFullOf(CallKind kind) const {
    return in_flight() < concurrency_limit() && in_flight(kind) >= slots_->limit_of(kind);
  }

  // The estimates of these three are the calls' own; the limits get them with the tokens that the target's answers make
  // likely.
  // Returns the earliest time at which all limits let the attempt begin; kNever: not before another has ended.
  TimePoint NotBefore(const Estimate& estimate, TimePoint now) const;
  // The limit that lets an attempt begin last.
  struct Bottleneck {
    std::string_view name;     // Admission::name; empty: the attempt may begin now
    TimePoint until = kNever;  // from when it may begin; kNever: not before another has ended
    CallKind kind = CallKind::kChat;
  };
  Bottleneck WaitsFor(const Estimate& estimate, TimePoint now) const;
  // Returns a limit for people: `slot: 8 of 8 in use`, `requests_per_minute: next in 3 s`.
  std::string TextOf(const Bottleneck& limit, TimePoint now) const;
  // Returns when the target takes attempts again: it asked for a pause, its breaker is open, it seems to hang, or
  // its model is being pulled. `now` or earlier: it does; kNever: not before an attempt or a pull has ended.
  TimePoint UnavailableUntil(TimePoint now) const;
  // Returns whether the target seems to hang (Silence).
  bool IsSuspected(TimePoint now) const { return silence_->IsSuspected(now); }
  // Returns when it becomes suspected if nothing comes; kNever: not as things stand.
  TimePoint SuspectedFrom() const { return silence_->SuspectedFrom(); }
  // Returns whether it has become suspected since the last call.
  bool CheckSilence(TimePoint now) { return silence_->Check(now); }

  Admitted Begin(const Estimate& estimate, TimePoint now);
  void Free(const Admitted& attempt, TimePoint now);
  // Returns whether the target has become unavailable, or available again.
  bool End(const Admitted& attempt, const AttemptEnd& end, TimePoint now);

  // Bytes of a response have come.
  void Heard(TimePoint now) { silence_->Heard(now); }
  // The first byte of an answer of this kind came `wait` after its attempt began.
  void NoteFirstByte(CallKind kind, Duration wait) { silence_->NoteFirstByte(kind, wait); }

  // Holds attempts back while the model is made ready.
  Preparation& preparation() { return *preparation_; }
  const Preparation& preparation() const { return *preparation_; }
  // Returns when the newest attempt began or was freed.
  TimePoint last_used() const { return last_used_; }

  // Calls in the queue that could go here.
  int64_t waiting() const { return waiting_; }
  void AddWaiting(int64_t change) { waiting_ += change; }

  // Answers that wait for their commit, at most as many as slots: a slow disk must not let answers pile up in memory.
  // Resumes when this answer may wait too.
  Task<void> BeginStoring();
  void EndStoring();

  // Number (Admitted::number) of the newest attempt that showed that the target accepts calls: it was answered, or
  // refused for what it asked. 0: none.
  int64_t newest_accepted() const { return newest_accepted_; }
  // Attempts refused since the newest of these, in a way that only a human can cure.
  int64_t refused_in_row() const { return refused_in_row_; }
  // A human says that the target was repaired: back-off, Retry-After and breaker let an attempt begin that shows it.
  void Reconsider(TimePoint now);

  // Returns whether the newest attempt that ended failed by the target's fault.
  bool is_failing() const { return failures_ > 0; }
  bool is_breaker_open() const { return breaker_->is_open(); }
  // Returns the message of the newest failure by the target's fault; empty if there was none.
  const std::string& newest_error() const { return newest_error_; }
  void NoteError(const backend::Failure& failure) {
    if (IsTargetFault(failure.outcome)) newest_error_ = failure.message;
  }
  // Returns the wait before a call that failed here is tried here again, uniform between nothing and a bound (full
  // jitter, because calls that failed together must not return together: M. Brooker, "Exponential backoff and jitter",
  // 2015). The bound follows the target's health, not one call's bad luck. While other attempts are answered it is
  // brief. If more attempts have failed in a row than were in flight together, the bound is the time for which the
  // target has been failing, between the policy's two bounds.
  Duration RetryDelay(const RetryPolicy& policy, TimePoint now, Random& random) const;

 private:
  Estimate Forecast(const Estimate& estimate) const;
  // The provider reported more tokens for an attempt than it can have taken.
  void NoteAbsurdTokens(int64_t reported, int64_t believed);

  BackendEntry& entry_;
  const std::string model_;
  const TargetSettings settings_;
  std::vector<std::unique_ptr<Admission>> limits_;
  Slots* slots_ = nullptr;  // these are among the limits
  Preparation* preparation_ = nullptr;
  HoldOff* hold_off_ = nullptr;
  Breaker* breaker_ = nullptr;
  Silence* silence_ = nullptr;
  std::array<TokenForecast, kCallKinds> forecasts_;
  bool has_absurd_tokens_ = false;
  int64_t begun_ = 0;  // attempts
  TimePoint last_used_{};
  int64_t waiting_ = 0;
  int32_t storing_ = 0;
  Event stored_;
  int64_t newest_accepted_ = 0;
  int64_t refused_in_row_ = 0;
  int64_t failures_ = 0;  // since the last answer
  std::string newest_error_;
  TimePoint failing_since_{};
  int64_t failing_from_ = 0;  // attempts in flight when the first of these failures began
};

// A target of an alias.
struct Route {
  Target* target = nullptr;
  int32_t priority = 0;  // lower first
  std::string identity;  // CanonicalIdentity with the configured revision
  // The server reports the revision, which is a part of the identity (server/llm/revisions.h).
  bool reports_revision = false;
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
  std::vector<Route> routes;                     // by priority, then as configured
  std::shared_ptr<const Identities> identities;  // of the routes; null if one reports its revision
  bool reports_revisions = false;
  RetryPolicy retry;
  CallTimeouts timeouts;
  std::optional<Duration> ttl;  // `cache.ttl` of the configuration: largest age of a cached answer
};

}  // namespace millrace
