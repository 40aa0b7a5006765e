#include "server/llm/cache.h"

#include <algorithm>
#include <utility>

#include "server/llm/vectors.h"
#include "server/storage/answers.h"
#include "server/storage/ledger.h"
#include "server/storage/records.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

using storage::v1::AnswerRecord;
using storage::v1::PendingRecord;
using storage::v1::SettledIndex;
using storage::v1::SettledRecord;

// Pause before a retry if the store refuses without saying that it reopens.
constexpr Duration kStoreRetry = std::chrono::milliseconds(20);

// Reads values until the store can; those that the disk has lost are absent.
Task<Remembered> ReadFirmly(Loop& loop, Store& store, std::vector<std::string> names) {
  auto read = co_await GetRemembered(store, names);
  while (!read.ok()) {
    co_await WaitForStore(loop, store);
    read = co_await GetRemembered(store, names);
  }
  co_return *std::move(read);
}

}  // namespace

// The values that lead to an answer, by the place of their key.
struct Cache::Entries {
  std::vector<SettledIndex> own;
  std::vector<SettledIndex> shared;
  std::vector<std::optional<PendingRecord>> pending;
  std::vector<size_t> lost;  // of `pending`
};

template <typename Message>
bool Cache::Read(const std::string& key, const std::optional<std::string>& value, Message& message) {
  if (!value) return false;
  if (DecodeValue(key, *value, message).ok()) return true;
  ++corrupt_;
  message.Clear();
  return false;
}

Task<Cache::Entries> Cache::ReadEntries(const std::vector<Digest>& keys, const std::string& run) {
  const size_t count = keys.size();
  std::vector<std::string> names;
  names.reserve(3 * count);
  for (const Digest& key : keys) names.push_back(AnswerKey(key));
  for (const Digest& key : keys) names.push_back(PendingKey(key));
  if (!run.empty()) {
    for (const Digest& key : keys) names.push_back(RunAnswerKey(run, key));
  }
  const Remembered read = co_await ReadFirmly(loop_, store_, names);
  corrupt_ += static_cast<int64_t>(read.lost.size());
  Entries entries;
  entries.own.resize(count);
  entries.shared.resize(count);
  entries.pending.resize(count);
  for (size_t i = 0; i < count; ++i) {
    Read(names[i], read.values[i], entries.shared[i]);
    const size_t pending = count + i;
    PendingRecord attempt;
    if (Read(names[pending], read.values[pending], attempt)) entries.pending[i] = std::move(attempt);
    if (read.lost.contains(pending)) entries.lost.push_back(i);
    const size_t own = 2 * count + i;
    if (!run.empty()) Read(names[own], read.values[own], entries.own[i]);
  }
  co_return entries;
}

bool Cache::IsFresh(const AnswerRecord& answer, const LookUpRules& rules) const {
  if (!rules.ttl) return true;
  const int64_t age_micros = loop_.clock().WallMicros() - answer.time_micros();
  return age_micros <= std::chrono::duration_cast<std::chrono::microseconds>(*rules.ttl).count();
}

Task<void> Cache::Follow(const std::vector<Lead>& leads, const LookUpRules& rules, Found& found) {
  std::vector<std::string> names;
  for (const Lead& lead : leads) names.push_back(SettledKey(lead.number));
  const Remembered read = co_await ReadFirmly(loop_, store_, names);
  corrupt_ += static_cast<int64_t>(read.lost.size());
  for (size_t i = 0; i < leads.size() && !found.answer; ++i) {
    SettledRecord record;
    // A record without an answer was evicted, or its entry has only attempts.
    if (!Read(names[i], read.values[i], record) || !record.has_answer()) continue;
    if (!leads[i].is_own && !IsFresh(record.answer(), rules)) continue;
    found.answer = std::move(*record.mutable_answer());
    found.place = leads[i].place;
    found.is_own = leads[i].is_own;
  }
}

Task<Found> Cache::LookUp(std::vector<Digest> keys, LookUpRules rules) {
  Entries entries = co_await ReadEntries(keys, rules.run);
  std::vector<Lead> leads;
  for (size_t i = 0; i < keys.size(); ++i) {
    const SettledIndex& own = entries.own[i];
    if (own.answer() > 0) leads.push_back({.place = i, .number = own.answer(), .is_own = true, .is_bad = own.is_bad()});
    if (rules.earlier_runs && entries.shared[i].answer() > 0) {
      leads.push_back({.place = i, .number = entries.shared[i].answer()});
    }
  }
  std::stable_partition(leads.begin(), leads.end(), [](const Lead& lead) { return !lead.is_bad; });
  Found found;
  if (!leads.empty()) co_await Follow(leads, rules, found);
  found.own = std::move(entries.own);
  if (rules.counted) ++(found.answer ? hits_ : misses_);
  if (found.answer) co_return found;
  found.pending = std::move(entries.pending);
  found.lost = std::move(entries.lost);
  co_return found;
}

Task<std::vector<FoundText>> Cache::LookUpTexts(std::vector<Digest> keys, std::optional<Duration> ttl) {
  const std::string no_run;
  const Entries entries = co_await ReadEntries(keys, no_run);
  std::vector<std::string> names;
  std::vector<size_t> places;
  std::vector<FoundText> found(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (entries.shared[i].answer() > 0) {
      names.push_back(SettledKey(entries.shared[i].answer()));
      places.push_back(i);
    }
    if (entries.pending[i]) found[i].batch_key = Digest::FromBytes(entries.pending[i]->batch_key());
  }
  const Remembered read = co_await ReadFirmly(loop_, store_, names);
  corrupt_ += static_cast<int64_t>(read.lost.size());
  const LookUpRules rules{.run = {}, .ttl = ttl};
  for (size_t i = 0; i < names.size(); ++i) {
    SettledRecord record;
    if (!Read(names[i], read.values[i], record) || !IsFresh(record.answer(), rules)) continue;
    found[places[i]].vector = UnpackVector(record.answer().vector()).value_or(std::vector<float>());
  }
  for (const FoundText& text : found) ++(text.vector.empty() ? misses_ : hits_);
  co_return found;
}

Task<std::vector<std::string>> Cache::PendingTexts(Digest batch_key) {
  const std::string name = PendingKey(batch_key);
  std::vector<std::string> names = {name};
  const Remembered read = co_await ReadFirmly(loop_, store_, std::move(names));
  corrupt_ += static_cast<int64_t>(read.lost.size());
  PendingRecord record;
  std::vector<std::string> texts;
  if (Read(name, read.values[0], record)) texts.assign(record.texts().begin(), record.texts().end());
  co_return texts;
}

Task<void> WaitForStore(Loop& loop, Store& store) {
  const StoreState state = store.state();
  if (state == StoreState::kReopening) {
    co_await store.WaitForChange(state);
  } else {
    co_await loop.Sleep(kStoreRetry);
  }
}

Task<void> CommitFirmly(Loop& loop, Store& store, WriteBatch batch, CommitMode mode) {
  while (true) {
    WriteBatch copy = batch;
    const Status status = co_await store.Commit(std::move(copy), mode);
    if (status.ok()) co_return;
    co_await WaitForStore(loop, store);
  }
}

}  // namespace millrace
