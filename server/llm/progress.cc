#include "server/llm/progress.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "server/storage/answers.h"
#include "server/storage/ledger.h"
#include "server/storage/taken_over.h"

namespace millrace {

using storage::v1::PendingRecord;
using storage::v1::SettledIndex;
using storage::v1::SettledRecord;

namespace {

// Adds an attempt to the record of its question, which has the key.
void AddTo(SettledRecord& record, v1::Attempt attempt) {
  attempt.clear_call_key();
  *record.add_attempts() = std::move(attempt);
}

SettledRecord RecordOf(const std::string& run, const Digest& call_key) {
  SettledRecord record;
  record.set_run(run);
  record.set_call_key(std::string(call_key.bytes()));
  return record;
}

void AddRecord(SettledIndex& index, int64_t number) {
  auto& records = *index.mutable_records();
  if (std::find(records.begin(), records.end(), number) != records.end()) return;
  if (records.size() >= kIndexedRecordsMax) records.erase(records.begin());
  records.Add(number);
}

}  // namespace

void CallProgress::AddKey(const Digest& call_key) {
  if (std::find(call_keys_.begin(), call_keys_.end(), call_key) == call_keys_.end()) call_keys_.push_back(call_key);
}

void CallProgress::SetOwn(const std::string& run, const std::vector<Digest>& call_keys,
                          std::vector<SettledIndex> entries) {
  if (run != own_run_) own_.clear();
  own_run_ = run;
  if (run.empty()) return;
  for (size_t i = 0; i < call_keys.size(); ++i) own_[call_keys[i]] = std::move(entries[i]);
}

void CallProgress::AddQuestion(const Digest& call_key, const storage::v1::QuestionRecord& question) {
  questions_.emplace(call_key, question);
}

void CallProgress::AddAnswer(const Digest& call_key, const storage::v1::AnswerRecord& answer, bool is_usable) {
  answers_[call_key] = {answer, is_usable};
}

void CallProgress::MarkBad(const Digest& call_key, std::string_view error) {
  for (Unsettled& entry : unsettled_) {
    if (entry.call_key != call_key || !HasAnswer(entry.record.attempt())) continue;
    // Its raw bytes are in the store. A call may have many bad answers, and thousands of calls are in flight.
    PendingRecord judged;
    judged.set_run(entry.record.run());
    *judged.mutable_totals() = entry.record.totals();
    *judged.mutable_attempt() = std::move(*entry.record.mutable_attempt());
    Tally::MarkBad(*judged.mutable_attempt(), error);
    entry.record = std::move(judged);
    entry.is_judged = true;
  }
  tally.MarkBad(call_key, error);
}

void CallProgress::AddPending(const Digest& call_key) {
  if (std::find(pending_.begin(), pending_.end(), call_key) == pending_.end()) pending_.push_back(call_key);
}

void CallProgress::AddUnsettled(const Digest& call_key, PendingRecord record) {
  const std::string id = record.attempt().id();
  std::erase_if(unsettled_, [&id](const Unsettled& own) { return own.record.attempt().id() == id; });
  unsettled_.push_back({.call_key = call_key, .record = std::move(record)});
}

PendingRecord* CallProgress::FindUnsettled(std::string_view attempt_id) {
  const auto found = std::find_if(unsettled_.begin(), unsettled_.end(), [attempt_id](const Unsettled& entry) {
    return entry.record.attempt().id() == attempt_id;
  });
  return found == unsettled_.end() ? nullptr : &found->record;
}

void CallProgress::PutFailed(WriteBatch& batch, const Digest& next_key, SettledNumbers& numbers) {
  std::set<Digest> changed;
  for (Unsettled& entry : unsettled_) {
    if (HasAnswer(entry.record.attempt())) continue;
    if (entry.call_key != next_key) DeletePending(batch, entry.call_key);
    if (entry.number == 0) entry.number = numbers.Take(1);
    SettledRecord record = RecordOf(entry.record.run(), entry.call_key);
    AddTo(record, entry.record.attempt());
    PutSettled(batch, entry.number, record);
    if (entry.record.run().empty() || entry.record.run() != own_run_) continue;
    AddRecord(own_[entry.call_key], entry.number);
    changed.insert(entry.call_key);
  }
  for (const Digest& call_key : changed) PutRunAnswer(batch, own_run_, call_key, own_[call_key]);
  PutCountsOfOthers(batch, Settles::kFailed, [this](const std::string& run) { return tally.IsPaidBy(run); });
}

void CallProgress::PutCountsOfOthers(WriteBatch& batch, Settles settles,
                                     absl::FunctionRef<bool(const std::string& run)> is_own) const {
  // Totals grow from attempt to attempt of a run, so that its newest one has those of the others.
  std::map<std::string_view, std::pair<const PendingRecord*, const PendingRecord*>> newest;  // settled, left
  for (const Unsettled& entry : unsettled_) {
    const std::string& run = entry.record.run();
    if (run.empty() || is_own(run)) continue;
    const bool is_settled = settles == Settles::kAll || !HasAnswer(entry.record.attempt());
    const PendingRecord*& of_run = is_settled ? newest[run].first : newest[run].second;
    if (of_run == nullptr || of_run->totals().attempts() < entry.record.totals().attempts()) of_run = &entry.record;
  }
  for (const auto& [run, records] : newest) {
    const auto& [settled, left] = records;
    if (settled == nullptr) continue;
    PendingRecord counted = *settled;
    if (left != nullptr) {
      // It stays pending, and its settlement counts it.
      if (left->totals().attempts() >= settled->totals().attempts()) continue;
      *counted.mutable_totals() = AttemptsWithout(settled->totals(), left->totals());
    }
    PutTakenOver(batch, counted);
  }
}

void CallProgress::ForgetFailed() {
  std::erase_if(unsettled_, [](const Unsettled& entry) { return !HasAnswer(entry.record.attempt()); });
}

void CallProgress::SetPayer(const std::string& run) {
  if (!tally.IsPaidBy(run)) KeepTotals();
  tally.SetPayer(run);
}

void CallProgress::KeepTotals() {
  // The attempts of another run have theirs in their records already.
  const auto newest = std::find_if(unsettled_.rbegin(), unsettled_.rend(),
                                   [this](const Unsettled& entry) { return tally.HasPaid(entry.record.run()); });
  if (newest != unsettled_.rend()) *newest->record.mutable_totals() = tally.totals();
}

WriteBatch CallProgress::KeepPending() {
  WriteBatch batch;
  if (unsettled_.empty()) return batch;
  KeepTotals();
  for (Unsettled& entry : unsettled_) {
    if (entry.is_judged) continue;  // the store has it, with the raw bytes that are not here any more
    v1::Attempt& attempt = *entry.record.mutable_attempt();
    // Its answer is judged again by whoever takes it over.
    if (HasAnswer(attempt)) attempt.set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);
    PutPending(batch, entry.call_key, entry.record);
  }
  return batch;
}

CallProgress CallProgress::TakeEnded(const std::optional<Digest>& asked_key) {
  CallProgress taken = std::exchange(*this, CallProgress());
  tally.TakeInFlight(taken.tally);
  own_run_ = taken.own_run_;
  own_ = taken.own_;
  if (!asked_key) return taken;
  std::erase(taken.pending_, *asked_key);
  AddKey(*asked_key);
  AddPending(*asked_key);
  const auto is_unjudged = [&asked_key](const Unsettled& entry) {
    return entry.call_key == *asked_key && HasAnswer(entry.record.attempt());
  };
  std::copy_if(taken.unsettled_.begin(), taken.unsettled_.end(), std::back_inserter(unsettled_), is_unjudged);
  std::erase_if(taken.unsettled_, is_unjudged);
  for (Unsettled& entry : unsettled_) {
    if (taken.tally.HasPaid(entry.record.run())) entry.record.clear_totals();  // the ended call counts them
  }
  return taken;
}

// Builds the batch of one settlement.
class CallProgress::Settling {
 public:
  Settling(CallProgress& progress, const CallResult& result, const Payer& payer, int64_t first_number)
      : progress_(progress), result_(result), payer_(payer), next_(first_number) {
    if (payer.run == progress.own_run_) index_ = progress.own_;
  }

  WriteBatch Settle() {
    for (const Unsettled& entry : progress_.unsettled_) {
      if (HasRecordOfItsOwn(entry)) PutAlone(entry);
    }
    progress_.PutCountsOfOthers(batch_, Settles::kAll, [this](const std::string& run) { return run == payer_.run; });
    for (const Digest& call_key : progress_.call_keys_) PutQuestion(call_key);
    if (result_.status.ok() && result_.from_memory && !result_.is_own && !payer_.run.empty()) PutCopy();
    for (const Digest& call_key : changed_) PutRunAnswer(batch_, payer_.run, call_key, index_[call_key]);
    for (const Digest& call_key : progress_.pending_) DeletePending(batch_, call_key);
    return std::move(batch_);
  }

 private:
  // An attempt of another run that paid before, or one that a batch of unknown fate may have stored.
  bool HasRecordOfItsOwn(const Unsettled& entry) const { return entry.number != 0 || entry.record.run() != payer_.run; }

  void PutAlone(const Unsettled& entry) {
    SettledRecord record = RecordOf(entry.record.run(), entry.call_key);
    AddTo(record, entry.record.attempt());
    PutSettled(batch_, entry.number != 0 ? entry.number : next_++, record);
  }

  void PutQuestion(const Digest& call_key) {
    SettledRecord record = RecordOf(payer_.run, call_key);
    for (const Unsettled& entry : progress_.unsettled_) {
      if (entry.call_key == call_key && !HasRecordOfItsOwn(entry)) AddTo(record, entry.record.attempt());
    }
    const auto answer = progress_.answers_.find(call_key);
    const bool has_answer = answer != progress_.answers_.end();
    const bool is_shared = has_answer && answer->second.is_usable && payer_.remember;
    const bool is_kept = is_shared || (has_answer && !payer_.run.empty());
    if (record.attempts().empty() && !is_kept) return;
    const auto question = progress_.questions_.find(call_key);
    if (question != progress_.questions_.end()) *record.mutable_question() = question->second;
    if (is_kept) *record.mutable_answer() = answer->second.record;
    // An answer that took a repair or another try is also the answer to the question as it was first asked.
    const bool is_asked_otherwise =
        is_kept && answer->second.is_usable && result_.status.ok() && call_key != result_.answer_key;
    if (is_asked_otherwise) record.set_asked_key(std::string(result_.answer_key.bytes()));
    const int64_t number = next_++;
    numbers_[call_key] = number;
    if (is_shared) PutAnswer(batch_, call_key, number);
    if (is_shared && is_asked_otherwise) PutAnswer(batch_, result_.answer_key, number, numbers_[result_.answer_key]);
    if (!payer_.run.empty()) {
      if (!record.attempts().empty()) AddRecord(index_[call_key], number);
      changed_.insert(call_key);
      if (is_kept) Lead(call_key, number, answer->second.is_usable);
      if (is_asked_otherwise) Lead(result_.answer_key, number, true);
    }
    PutSettled(batch_, number, record);
  }

  // A copy for this run, which finds it again even if the original is evicted.
  void PutCopy() {
    SettledRecord record = RecordOf(payer_.run, result_.answer_key);
    *record.mutable_answer() = result_.answer;
    const int64_t number = next_++;
    Lead(result_.answer_key, number, true);
    PutSettled(batch_, number, record);
  }

  void Lead(const Digest& call_key, int64_t number, bool is_usable) {
    changed_.insert(call_key);
    SettledIndex& index = index_[call_key];
    // The bad answer to a question that was repaired is settled with the usable one, and gives way to it.
    if (!is_usable && has_usable_.contains(call_key)) return;
    if (is_usable) has_usable_.insert(call_key);
    index.set_answer(number);
    index.set_is_bad(!is_usable);
  }

  CallProgress& progress_;
  const CallResult& result_;
  const Payer& payer_;
  int64_t next_;
  WriteBatch batch_;
  std::map<Digest, SettledIndex> index_;
  std::set<Digest> changed_;
  std::set<Digest> has_usable_;
  std::map<Digest, int64_t> numbers_;  // of the record of each question
};

WriteBatch CallProgress::Settle(const CallResult& result, const Payer& payer, int64_t first_number) {
  WriteBatch batch = Settling(*this, result, payer, first_number).Settle();
  questions_.clear();
  answers_.clear();
  unsettled_.clear();
  pending_.clear();
  return batch;
}

size_t CallProgress::bytes() const {
  size_t bytes = 0;
  for (const auto& [key, answer] : answers_) bytes += answer.record.text().size();
  for (const auto& [key, question] : questions_) bytes += question.request().size();
  return bytes;
}

WriteBatch SettleFollower(const CallResult& result, const Payer& payer, const Payer& follower, int64_t number) {
  WriteBatch batch;
  if (!result.status.ok()) return batch;
  const bool is_shared = follower.remember && !payer.remember && !result.from_memory;
  const bool is_given = !follower.run.empty() && follower.run != payer.run && follower.run != result.answer.run();
  if (!is_shared && !is_given) return batch;
  SettledRecord record = RecordOf(follower.run, result.answer_key);
  *record.mutable_answer() = result.answer;
  PutSettled(batch, number, record);
  if (is_shared) PutAnswer(batch, result.answer_key, number);
  if (is_given) {
    SettledIndex index;
    index.set_answer(number);
    PutRunAnswer(batch, follower.run, result.answer_key, index);
  }
  return batch;
}

}  // namespace millrace
