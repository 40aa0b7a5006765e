#include "server/llm/progress.h"

#include <algorithm>
#include <iterator>

#include "server/storage/answers.h"
#include "server/storage/ledger.h"

namespace millrace {

using storage::v1::AttemptRecord;

void CallProgress::AddKey(const Digest& call_key) {
  if (std::find(call_keys_.begin(), call_keys_.end(), call_key) == call_keys_.end()) call_keys_.push_back(call_key);
}

void CallProgress::AddQuestion(const Digest& call_key, const storage::v1::QuestionRecord& question) {
  const auto is_same = [&](const auto& entry) { return entry.first == call_key; };
  if (std::none_of(questions_.begin(), questions_.end(), is_same)) questions_.emplace_back(call_key, question);
}

void CallProgress::AddAnswer(const Digest& call_key, const storage::v1::AnswerRecord& answer, bool is_usable) {
  answers_.push_back({call_key, answer, is_usable});
}

void CallProgress::MarkBad(const Digest& call_key, std::string_view error) {
  for (auto& [key, record] : unsettled_) {
    if (key == call_key) Tally::MarkBad(*record.mutable_attempt(), error);
  }
  tally.MarkBad(call_key, error);
}

void CallProgress::AddPending(const Digest& call_key) {
  if (std::find(pending_.begin(), pending_.end(), call_key) == pending_.end()) pending_.push_back(call_key);
}

void CallProgress::AddUnsettled(const Digest& call_key, AttemptRecord record) {
  const std::string& id = record.attempt().id();
  std::erase_if(unsettled_, [&id](const auto& own) { return own.second.attempt().id() == id; });
  unsettled_.emplace_back(call_key, std::move(record));
}

AttemptRecord* CallProgress::FindUnsettled(std::string_view attempt_id) {
  const auto found = std::find_if(unsettled_.begin(), unsettled_.end(), [attempt_id](const auto& entry) {
    return entry.second.attempt().id() == attempt_id;
  });
  return found == unsettled_.end() ? nullptr : &found->second;
}

void CallProgress::PutFailed(WriteBatch& batch, const Digest& next_key) const {
  for (const auto& [key, record] : unsettled_) {
    if (HasAnswer(record.attempt())) continue;
    if (key != next_key) DeletePending(batch, key);
    PutSettled(batch, record);
  }
}

void CallProgress::ForgetFailed() {
  std::erase_if(unsettled_, [](const auto& entry) { return !HasAnswer(entry.second.attempt()); });
}

WriteBatch CallProgress::KeepUnclaimed() {
  WriteBatch batch;
  if (unsettled_.empty()) return batch;
  *unsettled_.back().second.mutable_totals() = tally.totals();
  for (auto& [key, record] : unsettled_) {
    // Its answer is judged again by whoever takes it over.
    if (HasAnswer(record.attempt())) record.mutable_attempt()->set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);
    PutPending(batch, key, record);
  }
  return batch;
}

CallProgress CallProgress::TakeSettled(const std::optional<Digest>& asked_key) {
  CallProgress taken = std::exchange(*this, CallProgress());
  if (!asked_key) return taken;
  std::erase(taken.pending_, *asked_key);
  AddKey(*asked_key);
  AddPending(*asked_key);
  const auto is_unjudged = [&asked_key](const auto& entry) {
    return entry.first == *asked_key && HasAnswer(entry.second.attempt());
  };
  std::copy_if(taken.unsettled_.begin(), taken.unsettled_.end(), std::back_inserter(unsettled_), is_unjudged);
  std::erase_if(taken.unsettled_, is_unjudged);
  return taken;
}

WriteBatch CallProgress::Settle(const CallResult& result, const Payer& payer) {
  WriteBatch batch;
  for (const auto& [key, question] : questions_) PutQuestion(batch, key, question);
  // Two answers may have one key; the usable one is written last and stays.
  for (const bool is_usable : {false, true}) {
    for (const NewAnswer& answer : answers_) {
      if (answer.is_usable != is_usable) continue;
      if (is_usable && payer.remember) {
        PutAnswer(batch, answer.call_key, answer.record);
      } else if (!payer.run.empty()) {
        PutRunAnswer(batch, payer.run, answer.call_key, answer.record);
      }
    }
  }
  if (result.status.ok() && result.from_memory && !payer.run.empty() && result.answer.run() != payer.run) {
    // A copy for this run, which finds it again even if the original is evicted.
    PutRunAnswer(batch, payer.run, result.answer_key, result.answer);
  }
  for (auto& [key, attempt] : unsettled_) PutSettled(batch, std::move(attempt));
  for (const Digest& key : pending_) DeletePending(batch, key);
  questions_.clear();
  answers_.clear();
  unsettled_.clear();
  pending_.clear();
  return batch;
}

size_t CallProgress::bytes() const {
  size_t bytes = 0;
  for (const NewAnswer& answer : answers_) bytes += answer.record.text().size();
  for (const auto& [key, question] : questions_) bytes += question.request().size();
  return bytes;
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
