#include "server/llm/attempt.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/pool.h"
#include "server/llm/classify.h"
#include "server/llm/inline.h"
#include "server/storage/ledger.h"

namespace millrace {
namespace {

// Attempts that may have cost something.
bool MayHaveCost(v1::AttemptOutcome outcome) {
  return outcome != v1::ATTEMPT_OUTCOME_NOT_SENT && outcome != v1::ATTEMPT_OUTCOME_REJECTED;
}

void SetDuration(google::protobuf::Duration& field, Duration duration) {
  field.set_seconds(duration.count() / 1'000'000'000);
  field.set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
}

}  // namespace

AttemptNames::AttemptNames(const Clock& clock, Random& random)
    : prefix_(fmt::format("{:012x}-{}-", clock.WallMicros() / 1000, random.Name(6))) {}

std::string AttemptNames::Next() { return fmt::format("{}{:08x}", prefix_, ++count_); }

AttemptRecorder::AttemptRecorder(Parts parts, CallInFlight& call, const Digest& call_key, Target& target)
    : target_(target), parts_(parts), call_(call), call_key_(call_key), start_(parts.loop.Now()) {}

Task<bool> AttemptRecorder::Started() {
  if (MustGiveUp()) co_return false;
  const int64_t wall_micros = parts_.loop.clock().WallMicros();
  const CallContext& payer = call_.PaidBy();
  v1::Attempt& attempt = *record_.mutable_attempt();
  attempt.set_id(parts_.names.Next());
  attempt.set_call_key(call_key_.Hex());
  attempt.set_backend(target_.entry->name);
  attempt.set_model(target_.model);
  attempt.set_stage(payer.stage);
  for (std::string& id : call_.ItemIds()) attempt.add_item_ids(std::move(id));
  attempt.set_outcome(v1::ATTEMPT_OUTCOME_STARTED);
  attempt.mutable_start_time()->set_seconds(wall_micros / 1'000'000);
  attempt.mutable_start_time()->set_nanos(static_cast<int32_t>(wall_micros % 1'000'000) * 1000);
  attempt.set_number(++call_.attempt_number);
  record_.set_run(payer.run);
  record_.set_start_micros(wall_micros);
  *record_.mutable_totals() = call_.progress.totals;

  // What failed before this is over: the new record takes its place, so that of one call at most one try is open.
  WriteBatch batch;
  for (const auto& [key, earlier] : call_.progress.unsettled) {
    if (HasAnswer(earlier.attempt())) continue;
    if (key != call_key_) DeletePending(batch, key);
    PutSettled(batch, earlier);
  }
  PutStarted(batch, call_key_, record_);
  while (true) {
    WriteBatch copy = batch;
    const Status status = co_await parts_.store.Commit(std::move(copy), CommitMode::kDurable);
    if (status.ok()) break;
    if (MustGiveUp()) co_return false;
    co_await WaitForStore(parts_.loop, parts_.store);
  }
  started_ = true;
  std::erase_if(call_.progress.unsettled, [](const auto& entry) { return !HasAnswer(entry.second.attempt()); });
  call_.progress.AddPending(call_key_);
  start_ = parts_.loop.Now();
  // Who waited may have left while it was being stored: then nothing is sent, and nothing was.
  co_return !MustGiveUp();
}

bool AttemptRecorder::MustGiveUp() {
  given_up_ = call_.IsAbandoned() || parts_.queue.closed();
  return given_up_;
}

void AttemptRecorder::Ended() {
  if (std::exchange(ended_, true)) return;
  latency_ = parts_.loop.Now() - start_;
}

Task<void> AttemptRecorder::Answered(int http_status, std::string raw) {
  answered_ = true;
  // The slot is free, unless too many answers wait to be stored already.
  while (target_.storing >= target_.max_concurrency) co_await target_.stored.Wait();
  ++target_.storing;
  has_slot_ = false;
  parts_.queue.Release(target_);

  v1::Attempt& attempt = *record_.mutable_attempt();
  attempt.set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);
  attempt.set_http_status(http_status);
  SetDuration(*attempt.mutable_latency(), latency_);
  record_.set_raw(std::move(raw));
  storage::v1::CallTotals& totals = *record_.mutable_totals();
  totals.set_attempts(totals.attempts() + 1);
  totals.set_unpriced_attempts(totals.unpriced_attempts() + 1);
  totals.set_calling_nanos(totals.calling_nanos() + latency_.count());
  WriteBatch batch;
  if (record_.raw().size() <= kInlineBytesMax) {
    PutPending(batch, call_key_, record_);
  } else {
    auto encode = [key = call_key_, record = record_] {
      WriteBatch encoded;
      PutPending(encoded, key, record);
      return encoded;
    };
    batch = co_await Compute(parts_.loop, parts_.pool, std::move(encode));
  }
  co_await CommitFirmly(parts_.loop, parts_.store, std::move(batch), CommitMode::kDurable);
  --target_.storing;
  target_.stored.NotifyOne();
}

Task<void> AttemptRecorder::Finish(const AttemptResult& result) {
  Ended();
  if (std::exchange(has_slot_, false)) parts_.queue.Release(target_);
  const auto* answer = std::get_if<backend::Answer>(&result);
  const auto* failure = std::get_if<backend::Failure>(&result);

  v1::Attempt& attempt = *record_.mutable_attempt();
  attempt.set_outcome(answer != nullptr ? v1::ATTEMPT_OUTCOME_ANSWERED : AttemptOutcomeOf(failure->outcome));
  SetDuration(*attempt.mutable_latency(), latency_);
  storage::v1::CallTotals& totals = call_.progress.totals;
  totals.set_calling_nanos(totals.calling_nanos() + latency_.count());
  if (answer != nullptr) {
    target_.failures = 0;
    attempt.set_input_tokens(std::max<int64_t>(answer->input_tokens.value_or(0), 0));
    attempt.set_output_tokens(std::max<int64_t>(answer->output_tokens.value_or(0), 0));
    totals.set_input_tokens(totals.input_tokens() + attempt.input_tokens());
    totals.set_output_tokens(totals.output_tokens() + attempt.output_tokens());
  } else {
    attempt.set_error(failure->message);
    attempt.set_http_status(failure->http_status);
  }
  const bool is_free = target_.entry->backend->manifest().free_of_charge;
  if (!started_) {
    // Nothing was sent. What is free of charge has no record.
    if (is_free) totals.set_attempts(totals.attempts() + 1);
    co_return;
  }
  totals.set_attempts(totals.attempts() + 1);
  if (IsMaybeBilled(attempt.outcome())) totals.set_maybe_billed(totals.maybe_billed() + 1);
  if (MayHaveCost(attempt.outcome())) totals.set_unpriced_attempts(totals.unpriced_attempts() + 1);
  call_.progress.AddAttempt(attempt);
  *record_.mutable_totals() = totals;
  if (!answered_) {
    WriteBatch batch;
    PutPending(batch, call_key_, record_);
    co_await CommitFirmly(parts_.loop, parts_.store, std::move(batch), CommitMode::kReadable);
  }
  call_.progress.unsettled.emplace_back(call_key_, std::move(record_));
}

}  // namespace millrace
