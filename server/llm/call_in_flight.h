// Calls in flight. Equal calls are one: whoever asks first pays, others wait for the same answer. A waiter that leaves
// (stop, deadline) ends only its own wait: an attempt in flight is read to its end and stored, unless its last waiter
// read its text while it was made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/digest.h"
#include "server/base/loop.h"
#include "server/llm/call.h"
#include "server/llm/claims.h"
#include "server/llm/progress.h"
#include "server/llm/target.h"
#include "server/llm/waiters.h"
#include "server/trace/span.h"

namespace millrace {

// The question. Constant for the life of a call.
struct CallQuestion {
  // Join key: calls with equal ones are one call. It is the digest of the alias's targets and their identities, the
  // canonical request, the sample number, the rules on which the answer depends (`repairs`, `look_up` and `ttl`), and
  // the alias's policies (priorities of its targets, retries, time limits), so that nobody pays by the policy of
  // another alias. The runs, priorities, deadlines and `remember` of its callers may differ. Not a call key (key.h).
  Digest key;
  CallRequest request;
  std::string canonical;  // CanonicalRequest of the question
  const Alias& alias;
  std::shared_ptr<const Identities> identities;  // of the alias's models, by route
  bool look_up = true;
  std::optional<Duration> ttl;
};

// The newest failures of a call's targets, until one of them answers.
class CallTrouble {
 public:
  // Returns whether waiters should look, because the call fails for the first time.
  bool Note(const backend::Failure& failure, const Target& target);
  // The call fails for good or goes to another target: only the text of the failure is kept.
  void NoteFinal(const backend::Failure& failure) { failure_ = failure; }
  void NoteAnswer() { failing_ = nullptr; }

  // The newest failure, also after an answer: a waiter that gives up gets it as its error.
  const std::optional<backend::Failure>& failure() const { return failure_; }
  const Target* failing() const { return failing_; }  // null: none
  // Returns true once an attempt has failed, also if a later one was answered. From then on a waiter gives up when
  // `max_elapsed` has passed since CallInFlight::first_attempt.
  bool has_failed() const { return has_failed_; }

 private:
  std::optional<backend::Failure> failure_;
  const Target* failing_ = nullptr;
  bool has_failed_ = false;
};

// The text of the attempt in flight, as far as it has come, for the waiters that want it.
class PartialText {
 public:
  explicit PartialText(const Waiters& waiters) : waiters_(waiters) {}

  // An attempt begins. Returns whether a waiter wants its text; if none does, its text is not kept, and a waiter that
  // joins later gets none of it.
  bool Begin();
  void Add(std::string_view delta);
  // A waiter has joined: it gets the text so far.
  void Join(const CallContext& context) const;

 private:
  const Waiters& waiters_;
  bool is_wanted_ = false;
  std::string text_;
};

// One call: its question, who waits for it, and what has come of it. Its runner writes progress, attempts and end; the
// callers join and leave.
class CallInFlight {
 public:
  CallInFlight(Loop& loop, CallQuestion its_question)
      : question(std::move(its_question)), changed(loop), partial_text(waiters), loop_(loop) {}
  CallInFlight(const CallInFlight&) = delete;

  const CallQuestion question;
  Waiters waiters;
  Event changed;  // wakes the runner: a slot was granted, a waiter joined or left, the server drains
  CallProgress progress;
  CallTrouble trouble;
  bool has_unstored_answer = false;  // its provider has answered, and the store does not have the answer yet
  PartialText partial_text;

  // Returns the span that the call's own spans are part of: that of its payer.
  trace::Ref place() const { return waiters.empty() ? trace::Ref() : waiters.payer().context.trace; }

  // Attempts. The asked key is that of the attempt in flight, until its answer is judged.
  void BeginAttempt(const Digest& call_key, TimePoint now);
  void TakeOverAttempt(const Digest& call_key) { asked_key_ = call_key; }
  void EndAttempt() { asked_key_.reset(); }
  // Returns the signal that ends the next attempt, whose text the waiters get while it is made.
  std::shared_ptr<StopSignal> NewStop() { return stop_ = std::make_shared<StopSignal>(loop_); }
  // Ends the attempt in flight, if its text goes to the waiters. REQUIRES: nobody waits any more.
  void StopStream();
  const std::optional<Digest>& asked_key() const { return asked_key_; }
  TimePoint first_attempt() const { return first_attempt_; }
  int32_t NextAttemptNumber() { return ++attempt_number_; }
  void CountAttemptsFrom(int32_t number) { attempt_number_ = std::max(attempt_number_, number); }

  // Claims of the keys of every question, until the settlement has them.
  bool HasClaimed(const Digest& call_key) const;
  void AddClaim(std::shared_ptr<const KeyClaims::Claim> claim) { claims_.push_back(std::move(claim)); }
  // They also keep the attempts counted until the settlement is stored.
  Settlement::Claims claims() const {
    Settlement::Claims claims(claims_.begin(), claims_.end());
    if (counted_) claims.push_back(counted_);
    return claims;
  }
  void KeepCounted(std::shared_ptr<const void> counted) { counted_ = std::move(counted); }

  // The end. `result` is written by the runner; Finish then fixes who pays, and wakes the waiters.
  CallResult result;
  void MarkDrained() { is_unsettled_ = true; }
  void Block(std::vector<Blockage> blockages) {
    blockages_ = std::move(blockages);
    is_unsettled_ = true;
  }
  void Finish(bool has_ended);
  bool is_finished() const { return is_finished_; }
  // It ended without a settlement, because the server goes down or a human must act: its attempts stay in the store for
  // the next asker.
  bool is_unsettled() const { return is_unsettled_; }
  // The targets that a human must repair, if that is why it ended.
  const std::vector<Blockage>& blockages() const { return blockages_; }
  bool IsPaidBy(const CallWaiter& waiter) const { return payer_ == &waiter; }
  // The payer whose batch has the settlement. Valid once it is finished.
  const Payer& settled_for() const { return settled_for_; }

 private:
  Loop& loop_;
  std::shared_ptr<StopSignal> stop_;
  std::optional<Digest> asked_key_;
  TimePoint first_attempt_ = kNever;
  int32_t attempt_number_ = 0;
  std::vector<std::shared_ptr<const KeyClaims::Claim>> claims_;
  std::shared_ptr<const void> counted_;
  bool is_finished_ = false;
  bool is_unsettled_ = false;
  std::vector<Blockage> blockages_;
  const CallWaiter* payer_ = nullptr;  // only compared
  Payer settled_for_;
};

// All calls in flight.
class CallTable {
 public:
  std::shared_ptr<CallInFlight> Find(const Digest& key) const;
  void Add(std::shared_ptr<CallInFlight> call);
  void Remove(const Digest& key);

  // By key, so that walks are repeatable.
  const std::map<Digest, std::shared_ptr<CallInFlight>>& calls() const { return calls_; }
  // Wakes every runner: the server drains.
  void WakeAll();

 private:
  std::map<Digest, std::shared_ptr<CallInFlight>> calls_;
};

}  // namespace millrace
