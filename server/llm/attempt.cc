#include "server/llm/attempt.h"

#include <fmt/format.h>

#include <utility>

#include "server/base/run_if_long.h"
#include "server/llm/vectors.h"

namespace millrace {

namespace {

AttemptEnd EndOf(const AttemptResult& result, bool was_sent) {
  AttemptEnd end;
  end.was_sent = was_sent;
  if (const auto* answer = std::get_if<backend::Answer>(&result)) {
    const bool is_counted = answer->output_tokens || !answer->vectors.empty();
    if (answer->input_tokens && is_counted) end.tokens = *answer->input_tokens + answer->output_tokens.value_or(0);
    end.rate = answer->rate;
    return end;
  }
  const auto& failure = std::get<backend::Failure>(result);
  end.outcome = failure.outcome;
  end.retry_after = failure.retry_after;
  end.rate = failure.rate;
  return end;
}

}  // namespace

AttemptNames::AttemptNames(const Clock& clock, Random& random)
    : prefix_(fmt::format("{:012x}-{}-", clock.WallMicros() / 1000, random.Name(6))) {}

std::string AttemptNames::Next() { return fmt::format("{}{:08x}", prefix_, ++count_); }

AttemptRecorder::AttemptRecorder(Deps deps, CallInFlight& call, const Digest& call_key, Target& target,
                                 const Admitted& admitted)
    : target_(target), admitted_(admitted), deps_(deps), call_(call), call_key_(call_key), start_(deps.loop.Now()) {}

void AttemptRecorder::FillRecord() {
  const int64_t wall_micros = deps_.loop.clock().WallMicros();
  const CallContext& payer = call_.waiters.payer().context;
  v1::Attempt& attempt = *record_.mutable_attempt();
  attempt.set_id(deps_.names.Next());
  attempt.set_call_key(call_key_.Hex());
  attempt.set_backend(target_.entry().name);
  attempt.set_model(target_.model());
  attempt.set_stage(payer.stage);
  for (std::string& id : call_.waiters.ItemIds()) attempt.add_item_ids(std::move(id));
  attempt.set_outcome(v1::ATTEMPT_OUTCOME_STARTED);
  attempt.mutable_start_time()->set_seconds(wall_micros / 1'000'000);
  attempt.mutable_start_time()->set_nanos(static_cast<int32_t>(wall_micros % 1'000'000) * 1000);
  attempt.set_number(call_.NextAttemptNumber());
  record_.set_run(payer.run);
  call_.progress.SetPayer(payer.run);
  *record_.mutable_totals() = call_.progress.tally.totals();
  if (const auto& texts = call_.question.request.texts) {
    for (const std::string& text : texts->request.texts) record_.add_texts(text);
  }
}

Task<bool> AttemptRecorder::Started() {
  if (MustGiveUp()) co_return false;
  FillRecord();
  WriteBatch batch;
  call_.progress.PutFailed(batch, call_key_, deps_.numbers);
  PutPending(batch, call_key_, record_);
  if (const auto& texts = call_.question.request.texts) PutPendingTexts(batch, *texts, call_key_);
  while (true) {
    WriteBatch copy = batch;
    const Status status = co_await deps_.store.Commit(std::move(copy), CommitMode::kDurable);
    if (status.ok()) break;
    if (MustGiveUp()) co_return false;
    co_await WaitForStore(deps_.loop, deps_.store);
  }
  started_ = true;
  call_.progress.tally.Begin();
  call_.progress.ForgetFailed();
  call_.progress.AddPending(call_key_);
  start_ = deps_.loop.Now();
  // The waiters may have left while it was being stored: then nothing is sent, and nothing was.
  co_return !MustGiveUp();
}

bool AttemptRecorder::MustGiveUp() {
  given_up_ = call_.waiters.empty() || deps_.queue.closed();
  return given_up_;
}

void AttemptRecorder::Received() {
  const TimePoint now = deps_.loop.Now();
  if (!first_byte_) first_byte_ = now;
  deps_.queue.Heard(target_);
}

void AttemptRecorder::Ended() {
  if (std::exchange(ended_, true)) return;
  latency_ = deps_.loop.Now() - start_;
}

Task<void> AttemptRecorder::Answered(RawAnswer answer) {
  answered_ = true;
  call_.has_unstored_answer = true;
  co_await target_.BeginStoring();
  Free();

  const size_t bytes = answer.body.size();
  SetRawAnswer(record_, std::move(answer));
  call_.progress.tally.RecordAnswered(record_, latency_);
  auto encode = [key = call_key_, record = record_] {
    WriteBatch encoded;
    PutPending(encoded, key, record);
    return encoded;
  };
  WriteBatch batch = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(encode));
  co_await CommitFirmly(deps_.loop, deps_.store, std::move(batch), CommitMode::kDurable);
  call_.has_unstored_answer = false;
  target_.EndStoring();
}

void AttemptRecorder::Free() {
  if (!std::exchange(is_freed_, true)) deps_.queue.Free(target_, admitted_);
}

Task<void> AttemptRecorder::Finish(const AttemptResult& result) {
  Ended();
  Free();
  Tally& tally = call_.progress.tally;
  v1::Attempt& attempt = *record_.mutable_attempt();
  const bool is_free = target_.manifest().free_of_charge;
  if (const auto* answer = std::get_if<backend::Answer>(&result)) {
    tally.AddAnswer(attempt, *answer, latency_, started_, is_free);
    // A provider without I/O has no first byte.
    target_.NoteFirstByte(admitted_.estimate.kind, first_byte_.value_or(start_ + latency_) - admitted_.began);
  } else {
    // An attempt that was given up before it was sent says nothing about the target.
    if (!given_up_) target_.NoteError(std::get<backend::Failure>(result));
    tally.AddFailure(attempt, std::get<backend::Failure>(result), latency_, started_, is_free);
  }
  deps_.queue.End(target_, admitted_, EndOf(result, !given_up_));
  if (!started_) co_return;
  *record_.mutable_totals() = tally.totals();
  if (!answered_) {
    WriteBatch batch;
    PutPending(batch, call_key_, record_);
    co_await CommitFirmly(deps_.loop, deps_.store, std::move(batch), CommitMode::kReadable);
  }
  call_.progress.AddUnsettled(call_key_, std::move(record_));
}

}  // namespace millrace
