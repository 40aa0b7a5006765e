// Tally of a call: counts, money and the list of its attempts. A Tally is the only writer of the CallTotals of a call
// and of the figures in an attempt, so that a price or a new count has one place. (Target counts load and health, the
// stage's rows add up the totals of items.)
#pragma once

#include <cstdint>
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

  const storage::v1::CallTotals& totals() const { return totals_; }
  // Oldest first, the newest kAttemptsKept.
  const std::vector<v1::Attempt>& attempts() const { return attempts_; }

  // The attempts so far, with the one that has begun and not ended: totals() has it only then.
  AttemptCounts begun() const { return {totals_.attempts() + in_flight_, totals_.maybe_billed()}; }

  void AddQuestion();
  void AddCacheHit();
  void AddWaiting(Duration waited);

  // An attempt that will be recorded has begun.
  void Begin() { ++in_flight_; }
  // Takes the attempt in flight, if there is one, from a tally that it was begun in.
  void TakeInFlight(Tally& from) { in_flight_ += std::exchange(from.in_flight_, 0); }
  // Writes the end of an attempt into its record and adds it. An attempt that sent nothing (`is_recorded` false) is
  // only counted if its backend is free of charge.
  void AddAnswer(v1::Attempt& attempt, const backend::Answer& answer, Duration latency, bool is_recorded, bool is_free);
  void AddFailure(v1::Attempt& attempt, const backend::Failure& failure, Duration latency, bool is_recorded,
                  bool is_free);

  // Writes into the record of the attempt in flight that it was answered. Its tokens are not known before its answer is
  // parsed; this tally counts it when it has ended.
  void RecordAnswered(storage::v1::PendingRecord& record, Duration latency) const;

  // Takes over the attempt of an earlier call: one that a crash left behind, or whose callers left. The record has the
  // totals of that whole call, which replace these; only `calls` stays as it is if it is larger, because the questions
  // of this call are counted already. A started attempt becomes one of unknown outcome.
  void TakeOver(storage::v1::PendingRecord& pending);
  // Adds the tokens of an answer that was taken over, unless its record has them.
  void AddTokensOf(storage::v1::PendingRecord& taken, const backend::Answer& answer);

  // Marks the answered attempt of this key: its answer can't be used.
  void MarkBad(const Digest& call_key, std::string_view error);
  static void MarkBad(v1::Attempt& attempt, std::string_view error);

  // Returns the totals of a caller that joined a call in flight: one call, no attempt and no cost, which are the
  // payer's.
  static storage::v1::CallTotals Joined();

 private:
  void AddAttempt(v1::Attempt& attempt, Duration latency, bool is_recorded, bool is_free);
  void Keep(const v1::Attempt& attempt);

  storage::v1::CallTotals totals_;
  std::vector<v1::Attempt> attempts_;
  int64_t in_flight_ = 0;
};

// Returns whether an attempt was answered, by a usable answer or another one.
bool HasAnswer(const v1::Attempt& attempt);

}  // namespace millrace
