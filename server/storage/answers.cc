#include "server/storage/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "server/storage/records.h"
#include "server/storage/value_codec.h"

namespace millrace {

using storage::v1::PendingRecord;
using storage::v1::SettledIndex;
using storage::v1::SettledRecord;

namespace {

constexpr size_t kPageEntries = 1000;

// Settled records by number; damaged and absent ones are left out.
using SettledRecords = std::map<int64_t, SettledRecord>;

Task<StatusOr<SettledRecords>> LoadSettled(Store& store, std::vector<int64_t> numbers) {
  std::vector<std::string> keys;
  for (const int64_t number : numbers) keys.push_back(SettledKey(number));
  MR_CO_ASSIGN_OR_RETURN(const Remembered read, co_await GetRemembered(store, keys));
  SettledRecords records;
  for (size_t i = 0; i < keys.size(); ++i) {
    SettledRecord record;
    if (read.values[i] && DecodeValue(keys[i], *read.values[i], record).ok()) records[numbers[i]] = std::move(record);
  }
  co_return records;
}

// The entries of one question in the store.
struct CallEntries {
  std::optional<SettledIndex> own;
  std::optional<SettledIndex> shared;
  std::optional<PendingRecord> pending;
};

template <typename Message>
void Read(const std::string& key, const std::optional<std::string>& value, std::optional<Message>& message) {
  Message read;
  if (value && DecodeValue(key, *value, read).ok()) message = std::move(read);
}

RememberedCall Assemble(const std::string& run, const Digest& call_key, CallEntries entries,
                        const SettledRecords& records) {
  RememberedCall call;
  for (const auto* index : {&entries.own, &entries.shared}) {
    if (!*index) continue;
    std::vector<int64_t> numbers((*index)->records().begin(), (*index)->records().end());
    numbers.push_back((*index)->answer());
    for (const int64_t number : numbers) {
      const auto found = records.find(number);
      if (found == records.end()) continue;
      const SettledRecord& record = found->second;
      const bool is_of_question = record.call_key() == call_key.bytes();
      if (is_of_question && record.has_question() && !call.question) call.question = record.question();
      if (number == (*index)->answer() && record.has_answer() && !call.answer) call.answer = record.answer();
    }
  }
  if (entries.own) {
    for (const int64_t number : entries.own->records()) {
      const auto found = records.find(number);
      if (found == records.end()) continue;
      for (v1::Attempt& attempt : AttemptsOf(found->second)) call.attempts.push_back(std::move(attempt));
    }
  }
  if (entries.pending && entries.pending->run() == run) {
    call.attempts.push_back(std::move(*entries.pending->mutable_attempt()));
  }
  return call;
}

bool IsWanted(const EvictionFilter& filter, const storage::v1::AnswerRecord& answer) {
  if (filter.older_than_micros && answer.time_micros() >= *filter.older_than_micros) return false;
  if (!filter.target.empty() && fmt::format("{}/{}", answer.backend(), answer.model()) != filter.target) return false;
  return !filter.in_use || answer.run().empty() || !filter.in_use(answer.run());
}

// Adds what Evict does with one record. Returns whether a cached answer is evicted.
bool Evict(const EvictionFilter& filter, const SettledUse& use, WriteBatch& batch) {
  if (!use.record) {
    batch.Delete(SettledKey(use.number));
    return false;
  }
  const bool is_shared = !use.shared_under.empty();
  if (is_shared && !IsWanted(filter, use.record->answer())) return false;
  for (const Digest& call_key : use.shared_under) batch.Delete(AnswerKey(call_key));
  if (!use.is_listed) {
    batch.Delete(SettledKey(use.number));  // nothing leads to it any more
  } else if (is_shared) {
    SettledRecord record = *use.record;
    record.clear_question();
    record.clear_answer();
    PutRecord(batch, SettledKey(use.number), record);
  }
  return is_shared;
}

}  // namespace

std::string AnswerKey(const Digest& call_key) { return KeyBuilder(Table::kAnswer).Key(call_key); }

std::string RunAnswerKey(std::string_view run, const Digest& call_key) {
  return KeyBuilder(Table::kRunAnswer).Text(run).Key(call_key);
}

void PutAnswer(WriteBatch& batch, const Digest& call_key, int64_t number, int64_t question_number) {
  SettledIndex index;
  index.set_answer(number);
  if (question_number > 0) index.add_records(question_number);
  PutRecord(batch, AnswerKey(call_key), index);
}

void PutRunAnswer(WriteBatch& batch, std::string_view run, const Digest& call_key, const SettledIndex& index) {
  PutRecord(batch, RunAnswerKey(run, call_key), index);
}

void ForgetRunAnswers(WriteBatch& batch, std::string_view run, const std::vector<Digest>& call_keys) {
  for (const Digest& call_key : call_keys) batch.Delete(RunAnswerKey(run, call_key));
}

Task<StatusOr<std::vector<RememberedCall>>> LoadCalls(Store& store, std::string run, std::vector<Digest> call_keys) {
  std::vector<std::string> keys;
  for (const Digest& call_key : call_keys) {
    keys.push_back(RunAnswerKey(run, call_key));
    keys.push_back(AnswerKey(call_key));
    keys.push_back(PendingKey(call_key));
  }
  MR_CO_ASSIGN_OR_RETURN(const Remembered read, co_await GetRemembered(store, keys));
  std::vector<CallEntries> entries(call_keys.size());
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < entries.size(); ++i) {
    Read(keys[3 * i], read.values[3 * i], entries[i].own);
    Read(keys[3 * i + 1], read.values[3 * i + 1], entries[i].shared);
    Read(keys[3 * i + 2], read.values[3 * i + 2], entries[i].pending);
    for (const auto* index : {&entries[i].own, &entries[i].shared}) {
      if (!*index) continue;
      numbers.push_back((*index)->answer());
      numbers.insert(numbers.end(), (*index)->records().begin(), (*index)->records().end());
    }
  }
  MR_CO_ASSIGN_OR_RETURN(const SettledRecords records, co_await LoadSettled(store, std::move(numbers)));
  std::vector<RememberedCall> calls;
  for (size_t i = 0; i < entries.size(); ++i) {
    calls.push_back(Assemble(run, call_keys[i], std::move(entries[i]), records));
  }
  co_return calls;
}

Task<StatusOr<std::vector<SettledUse>>> FindUses(Store& store, std::vector<int64_t> numbers) {
  std::vector<std::string> keys;
  for (const int64_t number : numbers) keys.push_back(SettledKey(number));
  MR_CO_ASSIGN_OR_RETURN(const Remembered read, co_await GetRemembered(store, keys));
  std::vector<SettledUse> uses;
  std::vector<std::string> index_keys;
  std::vector<std::pair<size_t, std::optional<Digest>>>
      asked;  // use, and the key of a shared answer; nothing: a listing
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (!read.values[i] && !read.lost.contains(i)) continue;
    SettledUse& use = uses.emplace_back();
    use.number = numbers[i];
    SettledRecord record;
    if (!read.values[i] || !DecodeValue(keys[i], *read.values[i], record).ok()) continue;
    use.record = std::move(record);
    const size_t place = uses.size() - 1;
    for (const std::string& bytes : {use.record->call_key(), use.record->asked_key()}) {
      const std::optional<Digest> key = Digest::FromBytes(bytes);
      if (!key || !use.record->has_answer()) continue;
      index_keys.push_back(AnswerKey(*key));
      asked.emplace_back(place, key);
    }
    if (!use.record->run().empty()) {
      index_keys.push_back(RunSettledKey(use.record->run(), use.number));
      asked.emplace_back(place, std::nullopt);
    }
  }
  MR_CO_ASSIGN_OR_RETURN(const Remembered index, co_await GetRemembered(store, index_keys));
  for (size_t i = 0; i < asked.size(); ++i) {
    if (!index.values[i]) continue;
    SettledUse& use = uses[asked[i].first];
    if (!asked[i].second) {
      use.is_listed = true;
      continue;
    }
    std::optional<SettledIndex> entry;
    Read(index_keys[i], index.values[i], entry);
    if (entry && entry->answer() == use.number) use.shared_under.push_back(*asked[i].second);
  }
  co_return uses;
}

Task<StatusOr<int64_t>> EvictAnswers(Store& store, EvictionFilter filter) {
  std::string begin = KeyBuilder(Table::kSettled);
  const std::string end = PrefixEnd(begin);
  int64_t evicted = 0;
  while (!begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await store.Scan(std::move(begin), end, kPageEntries));
    std::vector<int64_t> numbers;
    for (const StoreEntry& entry : page.entries) numbers.push_back(KeyReader(entry.key).Number().value_or(0));
    page.entries.clear();
    MR_CO_ASSIGN_OR_RETURN(const std::vector<SettledUse> uses, co_await FindUses(store, std::move(numbers)));
    WriteBatch batch;
    for (const SettledUse& use : uses) evicted += Evict(filter, use, batch) ? 1 : 0;
    if (!batch.empty()) MR_CO_RETURN_IF_ERROR(co_await store.Commit(std::move(batch)));
    begin = std::move(page.next);
  }
  co_return evicted;
}

Task<Status> DeleteSettledOf(Store& store, std::string run) {
  std::string begin = KeyBuilder(Table::kRunSettled).Text(run);
  const std::string end = PrefixEnd(begin);
  while (!begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await store.Scan(std::move(begin), end, kPageEntries));
    std::vector<int64_t> numbers;
    WriteBatch batch;
    for (const StoreEntry& entry : page.entries) {
      KeyReader key(entry.key);
      key.Text();
      numbers.push_back(key.Number().value_or(0));
      batch.Delete(entry.key);
    }
    MR_CO_ASSIGN_OR_RETURN(const std::vector<SettledUse> uses, co_await FindUses(store, std::move(numbers)));
    for (const SettledUse& use : uses) {
      if (use.shared_under.empty()) batch.Delete(SettledKey(use.number));
    }
    if (!batch.empty()) MR_CO_RETURN_IF_ERROR(co_await store.Commit(std::move(batch), CommitMode::kReadable));
    begin = std::move(page.next);
  }
  co_return absl::OkStatus();
}

Task<StatusOr<Store::Size>> AnswersSize(Store& store) {
  std::string index = KeyBuilder(Table::kAnswer);
  std::string index_end = PrefixEnd(index);
  MR_CO_ASSIGN_OR_RETURN(Store::Size size, co_await store.EstimateSize(std::move(index), std::move(index_end)));
  std::string log = KeyBuilder(Table::kSettled);
  std::string log_end = PrefixEnd(log);
  MR_CO_ASSIGN_OR_RETURN(const Store::Size texts, co_await store.EstimateSize(std::move(log), std::move(log_end)));
  size.bytes += texts.bytes;
  co_return size;
}

}  // namespace millrace
