#include <algorithm>

#include "server/llm/progress.h"
#include "server/storage/answers.h"
#include "server/storage/ledger.h"

namespace millrace {

bool HasAnswer(const v1::Attempt& attempt) {
  return attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED || attempt.outcome() == v1::ATTEMPT_OUTCOME_ANSWERED_BAD;
}

void CallProgress::AddKey(const Digest& call_key) {
  if (std::find(call_keys.begin(), call_keys.end(), call_key) == call_keys.end()) call_keys.push_back(call_key);
}

void CallProgress::AddAttempt(const v1::Attempt& attempt) {
  if (attempts.size() >= kAttemptsKept) attempts.erase(attempts.begin());
  attempts.push_back(attempt);
}

void CallProgress::MarkBad(const Digest& call_key, std::string_view error) {
  const auto mark = [&](v1::Attempt& attempt) {
    if (attempt.outcome() != v1::ATTEMPT_OUTCOME_ANSWERED) return;
    attempt.set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED_BAD);
    attempt.set_error(std::string(error));
  };
  for (auto& [key, record] : unsettled) {
    if (key == call_key) mark(*record.mutable_attempt());
  }
  const std::string name = call_key.Hex();
  for (v1::Attempt& attempt : attempts) {
    if (attempt.call_key() == name) mark(attempt);
  }
}

void CallProgress::AddPending(const Digest& call_key) {
  if (std::find(pending.begin(), pending.end(), call_key) == pending.end()) pending.push_back(call_key);
}

void CallProgress::AddQuestion(const Digest& call_key, const storage::v1::QuestionRecord& question) {
  const auto is_same = [&](const auto& entry) { return entry.first == call_key; };
  if (std::none_of(questions.begin(), questions.end(), is_same)) questions.emplace_back(call_key, question);
}

WriteBatch Settle(CallProgress& progress, const CallResult& result, const Payer& payer) {
  WriteBatch batch;
  for (auto& [key, question] : progress.questions) PutQuestion(batch, key, question);
  // Of two answers under one key the usable one counts: it comes last.
  for (const bool usable : {false, true}) {
    for (const NewAnswer& answer : progress.answers) {
      if (answer.usable != usable) continue;
      if (usable && payer.remember) {
        PutAnswer(batch, answer.call_key, answer.record);
      } else if (!payer.run.empty()) {
        PutRunAnswer(batch, payer.run, answer.call_key, answer.record);
      }
    }
  }
  if (result.status.ok() && result.from_memory && !payer.run.empty() && result.answer.run() != payer.run) {
    // Given to this run: it finds it again, whatever becomes of the original.
    PutRunAnswer(batch, payer.run, result.answer_key, result.answer);
  }
  for (auto& [key, attempt] : progress.unsettled) PutSettled(batch, std::move(attempt));
  for (const Digest& key : progress.pending) DeletePending(batch, key);
  progress.questions.clear();
  progress.answers.clear();
  progress.unsettled.clear();
  progress.pending.clear();
  return batch;
}

WriteBatch SettleFollower(const CallResult& result, const Payer& payer, const Payer& follower) {
  WriteBatch batch;
  if (!result.status.ok()) return batch;
  if (follower.remember && !payer.remember && !result.from_memory) PutAnswer(batch, result.answer_key, result.answer);
  if (!follower.run.empty() && follower.run != payer.run && follower.run != result.answer.run()) {
    PutRunAnswer(batch, follower.run, result.answer_key, result.answer);
  }
  return batch;
}

}  // namespace millrace
