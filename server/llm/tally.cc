#include "server/llm/tally.h"

#include <algorithm>
#include <string>

#include "server/llm/classify.h"

namespace millrace {
namespace {

using storage::v1::CallTotals;
using storage::v1::PendingRecord;

// Returns whether an attempt may have cost something.
bool MayHaveCost(v1::AttemptOutcome outcome) {
  return outcome != v1::ATTEMPT_OUTCOME_NOT_SENT && outcome != v1::ATTEMPT_OUTCOME_REJECTED;
}

void SetLatency(v1::Attempt& attempt, Duration latency) {
  attempt.mutable_latency()->set_seconds(latency.count() / 1'000'000'000);
  attempt.mutable_latency()->set_nanos(static_cast<int32_t>(latency.count() % 1'000'000'000));
}

void SetTokens(v1::Attempt& attempt, const backend::Answer& answer) {
  attempt.set_input_tokens(std::max<int64_t>(answer.input_tokens.value_or(0), 0));
  attempt.set_output_tokens(std::max<int64_t>(answer.output_tokens.value_or(0), 0));
}

void AddTokens(CallTotals& totals, const v1::Attempt& attempt) {
  totals.set_input_tokens(totals.input_tokens() + attempt.input_tokens());
  totals.set_output_tokens(totals.output_tokens() + attempt.output_tokens());
}

void ClearAttempts(CallTotals& totals) {
  totals.clear_attempts();
  totals.clear_maybe_billed();
  totals.clear_input_tokens();
  totals.clear_output_tokens();
  totals.clear_cost_nano_usd();
  totals.clear_unpriced_attempts();
  totals.clear_calling_nanos();
}

void Count(CallTotals& totals, v1::AttemptOutcome outcome) {
  totals.set_attempts(totals.attempts() + 1);
  if (IsMaybeBilled(outcome)) totals.set_maybe_billed(totals.maybe_billed() + 1);
  if (MayHaveCost(outcome)) totals.set_unpriced_attempts(totals.unpriced_attempts() + 1);
}

}  // namespace

bool HasAnswer(const v1::Attempt& attempt) {
  return attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED || attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED_BAD;
}

CallTotals Tally::TotalsFor(std::string_view run) const {
  CallTotals totals = totals_;
  if (!IsPaidBy(run)) ClearAttempts(totals);
  return totals;
}

std::vector<v1::Attempt> Tally::AttemptsFor(std::string_view run) const {
  return IsPaidBy(run) ? attempts_ : std::vector<v1::Attempt>();
}

AttemptCounts Tally::BegunFor(std::string_view run) const {
  if (!IsPaidBy(run)) return {};
  return {totals_.attempts() + in_flight_, totals_.maybe_billed()};
}

void Tally::SetPayer(const std::string& run) {
  if (!IsPaidBy(run)) {
    ClearAttempts(totals_);
    attempts_.clear();
  }
  payer_ = run;
}

void Tally::AddQuestion() { totals_.set_calls(totals_.calls() + 1); }

void Tally::AddCacheHit() { totals_.set_cache_hits(totals_.cache_hits() + 1); }

void Tally::AddWaiting(Duration waited) { totals_.set_waiting_nanos(totals_.waiting_nanos() + waited.count()); }

void Tally::AddAnswer(v1::Attempt& attempt, const backend::Answer& answer, Duration latency, bool is_recorded,
                      bool is_free) {
  attempt.set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);
  SetTokens(attempt, answer);
  AddTokens(totals_, attempt);
  AddAttempt(attempt, latency, is_recorded, is_free);
}

void Tally::AddFailure(v1::Attempt& attempt, const backend::Failure& failure, Duration latency, bool is_recorded,
                       bool is_free) {
  attempt.set_outcome(AttemptOutcomeOf(failure.outcome));
  attempt.set_error(failure.message);
  attempt.set_http_status(failure.http_status);
  AddAttempt(attempt, latency, is_recorded, is_free);
}

void Tally::AddAttempt(v1::Attempt& attempt, Duration latency, bool is_recorded, bool is_free) {
  totals_.set_calling_nanos(totals_.calling_nanos() + latency.count());
  if (!is_recorded) {
    if (is_free) totals_.set_attempts(totals_.attempts() + 1);
    return;
  }
  --in_flight_;
  Count(totals_, attempt.outcome());
  SetLatency(attempt, latency);
  Keep(attempt);
}

void Tally::RecordAnswered(PendingRecord& record, Duration latency) const {
  record.mutable_attempt()->set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);
  SetLatency(*record.mutable_attempt(), latency);
  CallTotals& totals = *record.mutable_totals();
  totals = totals_;
  Count(totals, v1::ATTEMPT_OUTCOME_ANSWERED);
  totals.set_calling_nanos(totals.calling_nanos() + latency.count());
}

void Tally::TakeOver(PendingRecord& pending, std::string_view run) {
  v1::Attempt& attempt = *pending.mutable_attempt();
  const bool is_started = attempt.outcome() == v1::ATTEMPT_OUTCOME_STARTED;
  if (is_started) {
    attempt.set_outcome(v1::ATTEMPT_OUTCOME_UNKNOWN);
    attempt.set_error("the server ended before the answer");
    Count(*pending.mutable_totals(), v1::ATTEMPT_OUTCOME_STARTED);
  }
  if (pending.run() != run) return;
  SetPayer(pending.run());
  const int64_t calls = totals_.calls();
  totals_ = pending.totals();
  totals_.set_calls(std::max(calls, totals_.calls()));
  // It may be this call's own, from before everybody had left it.
  std::erase_if(attempts_, [&attempt](const v1::Attempt& own) { return own.id() == attempt.id(); });
  Keep(attempt);
}

void Tally::AddTokensOf(PendingRecord& taken, const backend::Answer& answer, std::string_view run) {
  v1::Attempt& attempt = *taken.mutable_attempt();
  const bool is_own = taken.run() == run;
  if (!is_own) AddCacheHit();
  if (attempt.input_tokens() != 0 || attempt.output_tokens() != 0) return;
  SetTokens(attempt, answer);
  if (!is_own) {
    AddTokens(*taken.mutable_totals(), attempt);
    return;
  }
  AddTokens(totals_, attempt);
  *taken.mutable_totals() = totals_;
}

void Tally::MarkBad(const Digest& call_key, std::string_view error) {
  const std::string name = call_key.Hex();
  for (v1::Attempt& attempt : attempts_) {
    if (attempt.call_key() == name) MarkBad(attempt, error);
  }
}

void Tally::MarkBad(v1::Attempt& attempt, std::string_view error) {
  if (attempt.outcome() != v1::ATTEMPT_OUTCOME_ANSWERED) return;
  attempt.set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED_BAD);
  attempt.set_error(std::string(error));
}

void Tally::Keep(const v1::Attempt& attempt) {
  if (attempts_.size() >= kAttemptsKept) attempts_.erase(attempts_.begin());
  attempts_.push_back(attempt);
}

storage::v1::CallTotals Tally::Joined() {
  CallTotals totals;
  totals.set_calls(1);
  totals.set_coalesced(1);
  return totals;
}

}  // namespace millrace
