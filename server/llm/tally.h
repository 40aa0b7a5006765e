// Tally of a call: counts, money and the list of its attempts. A Tally is the only writer of the CallTotals of a call
// and of the figures in an attempt, so that a price or a new count has one place. (Target counts load and health, the
// stage's rows add up the totals of items.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/sdk/backend.h"
#include "millrace/storage/v1/records.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/llm/live_attempts.h"

namespace millrace {

class Tally {
 public:
  // Attempts that a call shows; older ones are only in the store.
  static constexpr size_t kAttemptsKept = 100;

  // With the attempts that the run of the newest one pays for.
  const storage::v1::CallTotals& totals() const { return totals_; }
  // Returns false if the attempts so far are another run's.
  bool IsPaidBy(std::string_view run) const { return !payer_ || *payer_ == run; }
  // Returns true if there are attempts so far, and this run paid for them.
  bool HasPaid(std::string_view run) const { return payer_ && *payer_ == run; }
  // The totals for a caller of this run. Attempts of another run are not among them: they are in that run's counts.
  storage::v1::CallTotals TotalsFor(std::string_view run) const;
  // The attempts that this run pays for: oldest first, the newest kAttemptsKept.
  std::vector<v1::Attempt> AttemptsFor(std::string_view run) const;

  // The attempts that this run pays for, with the one that has begun and not ended: totals() has it only then.
  AttemptCounts BegunFor(std::string_view run) const;

  void AddQuestion();
  void AddCacheHit();
  void AddWaiting(Duration waited);

  // Names the run that pays for the next attempt; empty: Generate. If another one paid before and has left, its
  // attempts are not counted here any more.
  void SetPayer(const std::string& run);
  // An attempt that will be recorded has begun.
  void Begin() { ++in_flight_; }
  // Takes the attempt in flight, if there is one, from a tally that it was begun in.
  void TakeInFlight(Tally& from) {
    if (from.in_flight_ > 0) payer_ = from.payer_;
    in_flight_ += std::exchange(from.in_flight_, 0);
  }
  // Writes the end of an attempt into its record and adds it. An attempt that sent nothing (`is_recorded` false) is
  // only counted if its backend is free of charge.
  void AddAnswer(v1::Attempt& attempt, const backend::Answer& answer, Duration latency, bool is_recorded, bool is_free);
  void AddFailure(v1::Attempt& attempt, const backend::Failure& failure, Duration latency, bool is_recorded,
                  bool is_free);

  // Writes into the record of the attempt in flight that it was answered. Its tokens are not known before its answer is
  // parsed; this tally counts it when it has ended.
  void RecordAnswered(storage::v1::PendingRecord& record, Duration latency) const;

  // Takes over the attempt of an earlier call for `run`: one that a crash left behind, or whose callers left. A started
  // attempt becomes one of unknown outcome. If the run itself paid for it, the record has the totals of that whole
  // call, which replace these; only `calls` stays as it is if it is larger, because the questions of this call are
  // counted already. The attempts of another run are not counted here: the settlement counts them in that run.
  void TakeOver(storage::v1::PendingRecord& pending, std::string_view run);
  // Adds the tokens of an answer that was taken over, unless its record has them. An answer that another run has paid
  // for is a cached one for `run`; its tokens are only added to its record.
  void AddTokensOf(storage::v1::PendingRecord& taken, const backend::Answer& answer, std::string_view run);

  // Marks the answered attempt of this key: its answer can't be used.
  void MarkBad(const Digest& call_key, std::string_view error);
  static void MarkBad(v1::Attempt& attempt, std::string_view error);

  // Returns the totals of a caller that joined a call in flight: one call, no attempt and no cost, which are the
  // payer's.
  static storage::v1::CallTotals Joined();

 private:
  void AddAttempt(v1::Attempt& attempt, Duration latency, bool is_recorded, bool is_free);
  void Keep(const v1::Attempt& attempt);
  std::optional<std::string> payer_;  // of the attempts in totals_ and attempts_; nullopt: there was none
  storage::v1::CallTotals totals_;
  std::vector<v1::Attempt> attempts_;
  int64_t in_flight_ = 0;
};

// Returns whether an attempt was answered, by a usable answer or another one.
bool HasAnswer(const v1::Attempt& attempt);

}  // namespace millrace
