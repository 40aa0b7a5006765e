// The call layer beside the answering of calls (CallHandler): its targets and their load, and its cached answers.
// Engine thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/admin_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/cache.h"
#include "server/llm/call.h"
#include "server/llm/live_attempts.h"

namespace millrace {

// Time that a drain waits for the store to take answers that were paid, after its patience with calls in flight. With
// the 20 s for those less than the 90 s that service managers give a process to end.
inline constexpr std::chrono::seconds kStorePatience(40);

// How the texts of an alias are embedded.
struct EmbedPlan {
  std::string identity;                        // CanonicalIdentity, the same for all its targets
  std::string model;                           // the providers' name of it
  size_t texts_max = 0;                        // texts of one request
  int64_t tokens_max = 0;                      // tokens of one request; 0: no limit
  std::optional<Duration> ttl = std::nullopt;  // largest age of a cached vector
  // Gives all calls for one request the same models, although these may change meanwhile.
  std::shared_ptr<ModelLease> models = nullptr;
};

class CallDesk {
 public:
  virtual ~CallDesk() = default;

  // NOT_FOUND (MODEL_NOT_FOUND) for an alias that is not configured.
  virtual Status CheckModel(std::string_view alias) const = 0;
  // Begins to use models for an episode of a run: learns their identities, which takes at most 3 s if a server does not
  // answer, and loads or pulls them if the configuration says so. The use ends when the lease is destroyed. Aliases
  // that are not configured are left out.
  virtual Task<std::shared_ptr<ModelLease>> Lease(std::vector<std::string> aliases) = 0;
  // Learns the identities without a use, for `plan`: nothing is loaded or pulled.
  virtual Task<std::shared_ptr<ModelLease>> Look(std::vector<std::string> aliases) = 0;
  // Returns the identities of an alias's models in routing order, as one text: a part of the memo keys of stages that
  // call it. NOT_FOUND (MODEL_NOT_FOUND).
  virtual StatusOr<std::string> Identity(std::string_view alias, const ModelLease& lease) const = 0;

  // Learns how texts are embedded, as Handle learns which models answer. NOT_FOUND (MODEL_NOT_FOUND), INVALID_ARGUMENT
  // (INVALID_FIELD: the targets are different models, whose vectors can't be compared), FAILED_PRECONDITION
  // (REQUEST_REFUSED: a target does not embed), CANCELLED, and the errors of calls that never learn it.
  virtual Task<StatusOr<EmbedPlan>> PlanEmbedding(std::string alias, CallContext context) = 0;
  // As those of Cache (cache.h).
  virtual Task<std::vector<FoundText>> LookUpTexts(std::vector<Digest> keys, std::optional<Duration> ttl) = 0;
  virtual Task<std::vector<std::string>> PendingTexts(Digest batch_key) = 0;

  // Returns whether a call would find its answer without an attempt, for `plan`. Nothing is sent, counted as a hit or a
  // miss, or claimed: a call in flight may settle its answer right after this.
  virtual Task<StatusOr<bool>> IsRemembered(CallContext context, CallRequest request) = 0;
  // Returns whether the cost of a call is known before it is made: true if every target of the alias is free of charge.
  // The configuration has no prices yet.
  virtual bool HasKnownCost(std::string_view alias) const = 0;

  virtual v1::ListModelsResponse Models() const = 0;
  // Returns the state of the backends. Sends probes, if the request asks for them, and takes at most about as long as
  // one.
  virtual Task<v1::ListBackendsResponse> Backends(v1::ListBackendsRequest request) = 0;

  // Number of calls that wait for a slot, and of attempts in flight.
  virtual int64_t waiting() const = 0;
  virtual int64_t in_flight() const = 0;
  // A failing target that calls of a run wait for.
  struct FailingTarget {
    std::string name;      // `backend/model`; empty: none
    std::string error;     // the newest one
    std::string progress;  // it does not fail: its model is being pulled, and so far
  };
  virtual FailingTarget FindFailing(std::string_view run) const = 0;
  // The call of a run that has waited longest for a limit of a target.
  struct WaitingCall {
    std::string target;        // `backend/model`; empty: none waits
    std::string limit;         // Admission::name
    std::string text;          // the limit for people: `slot: 8 of 8 in use`
    TimePoint since{};         // when the call began to wait
    TimePoint until = kNever;  // when the limit lets an attempt begin; kNever: when an attempt has ended
    int64_t place = 0;         // grants of the target until its own, as things stand: 1 is the next
    int64_t waiting = 0;       // calls that wait for the target, of all runs
  };
  virtual WaitingCall FindWaiting(const std::string& run) const = 0;
  // A human says that the targets of an alias were repaired: calls try them at once. Unknown aliases are left out.
  virtual void Reconsider(std::string_view alias) = 0;
  // Returns the attempts that a run pays for and that its stored counts do not have yet. Looks at each call in flight.
  virtual AttemptsByStage FindAttempts(std::string_view run) const = 0;

  // Returns the size of the cached answers, and the look-ups since the start.
  virtual Task<StatusOr<v1::CacheStats>> AnswerStats() = 0;
  // Evicts cached answers that are older than `older_than` (nullopt: of any age) and of this target (`backend/model`;
  // empty: of any). Returns how many. Three things stay: unsettled attempts, answers that are kept for one run
  // (kRunAnswer), and answers that were first given to a run for which `in_use` returns true, because it finds them
  // again.
  virtual Task<StatusOr<int64_t>> EvictAnswers(std::optional<Duration> older_than, std::string target,
                                               std::function<bool(const std::string& run)> in_use) = 0;

  // Starts no new attempt from now on. Resumes when the attempts in flight have ended and are stored, or at `deadline`;
  // kStorePatience later if answers are received by then that the store has not taken yet.
  virtual Task<void> Drain(TimePoint deadline) = 0;
  // Calls that are not done: after a drain, what it leaves.
  struct Unfinished {
    int64_t answers = 0;  // received, not stored: they would have to be paid again
    int64_t calls = 0;    // the others in flight
  };
  virtual Unfinished FindUnfinished() const { return {}; }
};

}  // namespace millrace
