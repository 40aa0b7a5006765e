#include "server/storage/ledger.h"

#include <algorithm>
#include <array>

#include "server/storage/keys.h"
#include "server/storage/records.h"
#include "server/storage/value_codec.h"

namespace millrace {

using storage::v1::PendingRecord;
using storage::v1::SettledRecord;

namespace {

constexpr Duration kReadRetry = std::chrono::milliseconds(20);

// Returns the last part of a key, a number.
int64_t LastNumberOf(std::string_view key) {
  constexpr size_t kNumberBytes = 8;
  const std::string padded = "00" + std::string(key.substr(key.size() - std::min(key.size(), kNumberBytes)));
  return KeyReader(padded).Number().value_or(0);
}

std::string PrefixOf(std::string_view run) { return KeyBuilder(Table::kRunSettled).Text(run); }

// The part of a page of attempts that is settled.
Task<StatusOr<AttemptPage>> LoadSettled(Store& store, std::string run, std::string begin, size_t entries_max) {
  std::string end = PrefixEnd(PrefixOf(run));
  MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await store.Scan(std::move(begin), std::move(end), entries_max));
  std::vector<std::string> keys;
  for (const StoreEntry& entry : page.entries) keys.push_back(SettledKey(LastNumberOf(entry.key)));
  MR_CO_ASSIGN_OR_RETURN(const Remembered read, co_await GetRemembered(store, keys));
  AttemptPage attempts{.attempts = {}, .next = std::move(page.next)};
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!read.values[i]) continue;
    SettledRecord record;
    if (!DecodeValue(keys[i], *read.values[i], record).ok()) continue;
    for (v1::Attempt& attempt : AttemptsOf(std::move(record))) attempts.attempts.push_back(std::move(attempt));
  }
  co_return attempts;
}

// The part that is not: the pending attempts of all runs, of which there are about as many as are in flight.
Task<StatusOr<AttemptPage>> LoadPending(Store& store, std::string run, std::string begin, size_t entries_max) {
  std::string end = PrefixEnd(KeyBuilder(Table::kPending));
  MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await store.Scan(std::move(begin), std::move(end), entries_max));
  AttemptPage attempts{.attempts = {}, .next = std::move(page.next)};
  for (const StoreEntry& entry : page.entries) {
    PendingRecord record;
    if (!DecodeValue(entry.key, entry.value, record).ok() || record.run() != run) continue;
    attempts.attempts.push_back(std::move(*record.mutable_attempt()));
  }
  co_return attempts;
}

}  // namespace

Task<void> SettledNumbers::Load() {
  while (!newest_) {
    std::string begin = KeyBuilder(Table::kSettled);
    std::string end = PrefixEnd(begin);
    const auto page = co_await store_.Scan(std::move(begin), std::move(end), 1, 1, Store::Direction::kBackwards);
    if (newest_) co_return;  // another call was faster
    if (page.ok()) {
      newest_ = page->entries.empty() ? 0 : LastNumberOf(page->entries.front().key);
    } else if (page.status().code() == absl::StatusCode::kDataLoss) {
      // The newest record can't be read, so its number is unknown. The time in microseconds is far above any count.
      newest_ = loop_.clock().WallMicros();
    } else if (store_.state() == StoreState::kReopening) {
      co_await store_.WaitForChange(StoreState::kReopening);
    } else {
      co_await loop_.Sleep(kReadRetry);
    }
  }
}

std::string SettledKey(int64_t number) { return KeyBuilder(Table::kSettled).Number(number); }

std::string RunSettledKey(std::string_view run, int64_t number) {
  return KeyBuilder(Table::kRunSettled).Text(run).Number(number);
}

std::string PendingKey(const Digest& call_key, int64_t slot) {
  return KeyBuilder(Table::kPending).Key(call_key).Number(slot);
}

void PutPending(WriteBatch& batch, const Digest& call_key, const PendingRecord& attempt) {
  PutRecord(batch, PendingKey(call_key), attempt);
}

void PutSettled(WriteBatch& batch, int64_t number, const SettledRecord& record) {
  PutRecord(batch, SettledKey(number), record);
  if (!record.run().empty()) batch.Put(RunSettledKey(record.run(), number), "");
}

void DeletePending(WriteBatch& batch, const Digest& call_key) { batch.Delete(PendingKey(call_key)); }

std::vector<v1::Attempt> AttemptsOf(SettledRecord record) {
  std::string call_key;
  if (const std::optional<Digest> key = Digest::FromBytes(record.call_key())) call_key = key->Hex();
  std::vector<v1::Attempt> attempts;
  for (v1::Attempt& attempt : *record.mutable_attempts()) {
    attempt.set_call_key(call_key);
    attempts.push_back(std::move(attempt));
  }
  return attempts;
}

Task<StatusOr<AttemptPage>> LoadAttempts(Store& store, std::string run, std::string begin, size_t entries_max) {
  const std::string pending = KeyBuilder(Table::kPending);
  if (begin.starts_with(pending)) co_return co_await LoadPending(store, std::move(run), std::move(begin), entries_max);
  std::string first = std::max(begin, PrefixOf(run));
  MR_CO_ASSIGN_OR_RETURN(AttemptPage page, co_await LoadSettled(store, std::move(run), std::move(first), entries_max));
  if (page.next.empty()) page.next = pending;
  co_return page;
}

Task<StatusOr<PendingByRun>> CountPending(Store& store, std::optional<std::string> run) {
  // A record has the totals of its whole call. If a call left several, which its repairs did, the largest has them all.
  std::map<std::array<std::string, 3>, PendingCall> by_call;  // by run, stage and item
  std::string begin = KeyBuilder(Table::kPending);
  const std::string end = PrefixEnd(begin);
  while (!begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await store.Scan(std::move(begin), end));
    for (const StoreEntry& entry : page.entries) {
      PendingRecord record;
      if (!DecodeValue(entry.key, entry.value, record).ok()) continue;
      if (record.run().empty() || (run && record.run() != *run)) continue;
      const v1::Attempt& attempt = record.attempt();
      const bool is_started = attempt.outcome() == v1::ATTEMPT_OUTCOME_STARTED;
      const PendingCall counts{.attempt_id = attempt.id(),
                               .stage = attempt.stage(),
                               .attempts = record.totals().attempts() + (is_started ? 1 : 0),
                               .maybe_billed = record.totals().maybe_billed(),
                               .started = is_started ? 1 : 0};
      const std::string item = attempt.item_ids().empty() ? "" : attempt.item_ids(0);
      PendingCall& of_call = by_call[{record.run(), attempt.stage(), item}];
      if (counts.attempts > of_call.attempts) of_call = counts;
    }
    begin = std::move(page.next);
  }
  PendingByRun by_run;
  for (const auto& [place, call] : by_call) by_run[place[0]].push_back(call);
  co_return by_run;
}

}  // namespace millrace
