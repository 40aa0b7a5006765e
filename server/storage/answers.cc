#include "server/storage/answers.h"

#include <fmt/format.h>

#include "server/storage/keys.h"
#include "server/storage/value_codec.h"

namespace millrace {

using storage::v1::AnswerRecord;
using storage::v1::QuestionRecord;

std::string AnswerKey(const Digest& call_key) { return KeyBuilder(Table::kAnswer).Key(call_key); }

std::string RunAnswerKey(std::string_view run, const Digest& call_key) {
  return KeyBuilder(Table::kRunAnswer).Text(run).Key(call_key);
}

std::string QuestionKey(const Digest& call_key) { return KeyBuilder(Table::kQuestion).Key(call_key); }

void PutAnswer(WriteBatch& batch, const Digest& call_key, const AnswerRecord& answer) {
  std::string key = AnswerKey(call_key);
  std::string value = EncodeValue(key, answer);
  batch.Put(std::move(key), std::move(value));
}

void PutRunAnswer(WriteBatch& batch, std::string_view run, const Digest& call_key, const AnswerRecord& answer) {
  std::string key = RunAnswerKey(run, call_key);
  std::string value = EncodeValue(key, answer);
  batch.Put(std::move(key), std::move(value));
}

void PutQuestion(WriteBatch& batch, const Digest& call_key, const QuestionRecord& question) {
  std::string key = QuestionKey(call_key);
  std::string value = EncodeValue(key, question);
  batch.Put(std::move(key), std::move(value));
}

void ForgetRunAnswers(WriteBatch& batch, std::string_view run, const std::vector<Digest>& call_keys) {
  for (const Digest& call_key : call_keys) batch.Delete(RunAnswerKey(run, call_key));
}

Task<StatusOr<std::vector<RememberedCall>>> LoadCalls(Store& store, std::string run, std::vector<Digest> call_keys) {
  std::vector<std::string> keys;
  for (const Digest& call_key : call_keys) {
    keys.push_back(QuestionKey(call_key));
    keys.push_back(RunAnswerKey(run, call_key));
    keys.push_back(AnswerKey(call_key));
  }
  const auto values = co_await store.MultiGet(keys);
  if (!values.ok()) co_return values.status();
  std::vector<RememberedCall> calls(call_keys.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    if (const auto& value = (*values)[3 * i]) {
      if (auto question = Decode<QuestionRecord>(keys[3 * i], *value); question.ok()) calls[i].question = *question;
    }
    for (const size_t at : {3 * i + 1, 3 * i + 2}) {
      if (const auto& value = (*values)[at]; value && !calls[i].answer) {
        if (auto answer = Decode<AnswerRecord>(keys[at], *value); answer.ok()) calls[i].answer = *answer;
      }
    }
  }
  co_return calls;
}

Task<StatusOr<int64_t>> EvictAnswers(Store& store, EvictionFilter filter) {
  std::string begin = KeyBuilder(Table::kAnswer);
  const std::string end = PrefixEnd(begin);
  int64_t evicted = 0;
  while (true) {
    const auto page = co_await store.Scan(begin, end);
    if (!page.ok()) co_return page.status();
    WriteBatch batch;
    for (const StoreEntry& entry : page->entries) {
      const auto answer = Decode<AnswerRecord>(entry.key, entry.value);
      if (answer.ok()) {
        if (filter.older_than_micros && answer->time_micros() >= *filter.older_than_micros) continue;
        if (!filter.target.empty() && fmt::format("{}/{}", answer->backend(), answer->model()) != filter.target)
          continue;
        if (filter.in_use && !answer->run().empty() && filter.in_use(answer->run())) continue;
      }
      batch.Delete(entry.key);
      ++evicted;
    }
    if (!batch.empty()) MR_CO_RETURN_IF_ERROR(co_await store.Commit(std::move(batch)));
    if (page->next.empty()) co_return evicted;
    begin = page->next;
  }
}

Task<StatusOr<Store::Size>> AnswersSize(Store& store) {
  std::string begin = KeyBuilder(Table::kAnswer);
  std::string end = PrefixEnd(begin);
  co_return co_await store.EstimateSize(std::move(begin), std::move(end));
}

}  // namespace millrace
