#include "server/storage/taken_over.h"

#include <utility>

#include "server/storage/keys.h"
#include "server/storage/records.h"

namespace millrace {

using storage::v1::CallTotals;
using storage::v1::PendingRecord;

namespace {

// Second part of the key. A number once released keeps its meaning.
constexpr int64_t kLeft = 0;
constexpr int64_t kTakenOver = 1;

std::string Prefix(std::string_view run, int64_t kind) { return KeyBuilder(Table::kRunAttempt).Text(run).Number(kind); }

void Put(WriteBatch& batch, std::string_view run, int64_t kind, const PendingRecord& record) {
  PutRecord(batch, KeyBuilder(Table::kRunAttempt).Text(run).Number(kind).Text(record.attempt().id()), record);
}

// Adds the counts of attempts in `more`, `times` times.
void AddAttempts(CallTotals& to, const CallTotals& more, int64_t times = 1) {
  to.set_attempts(to.attempts() + times * more.attempts());
  to.set_maybe_billed(to.maybe_billed() + times * more.maybe_billed());
  to.set_input_tokens(to.input_tokens() + times * more.input_tokens());
  to.set_output_tokens(to.output_tokens() + times * more.output_tokens());
  to.set_cost_nano_usd(to.cost_nano_usd() + times * more.cost_nano_usd());
  to.set_unpriced_attempts(to.unpriced_attempts() + times * more.unpriced_attempts());
  to.set_calling_nanos(to.calling_nanos() + times * more.calling_nanos());
}

}  // namespace

CallTotals AttemptsWithout(const CallTotals& from, const CallTotals& less) {
  CallTotals rest;
  AddAttempts(rest, from);
  AddAttempts(rest, less, -1);
  return rest;
}

void PutTakenOver(WriteBatch& batch, const PendingRecord& record) {
  if (record.run().empty()) return;
  PendingRecord entry;
  entry.mutable_attempt()->set_id(record.attempt().id());
  entry.mutable_attempt()->set_stage(record.attempt().stage());
  AddAttempts(*entry.mutable_totals(), record.totals());
  Put(batch, record.run(), kTakenOver, entry);
}

void PutLeft(WriteBatch& batch, std::string_view run, const PendingCall& call) {
  PendingRecord entry;
  entry.mutable_attempt()->set_id(call.attempt_id);
  entry.mutable_attempt()->set_stage(call.stage);
  entry.mutable_totals()->set_attempts(call.attempts);
  entry.mutable_totals()->set_maybe_billed(call.maybe_billed);
  Put(batch, run, kLeft, entry);
}

void ForgetLeft(WriteBatch& batch, std::string_view run) {
  std::string begin = Prefix(run, kLeft);
  std::string end = PrefixEnd(begin);
  batch.DeleteRange(std::move(begin), std::move(end));
}

Task<StatusOr<TakenOver>> LoadTakenOver(Store& store, std::string run) {
  TakenOver taken;
  std::map<std::string, PendingRecord> left;
  std::string begin = KeyBuilder(Table::kRunAttempt).Text(run);
  const std::string end = PrefixEnd(begin);
  const std::string settled = Prefix(run, kTakenOver);
  while (!begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await store.Scan(std::move(begin), end));
    for (const StoreEntry& entry : page.entries) {
      PendingRecord record;
      if (!DecodeValue(entry.key, entry.value, record).ok()) continue;
      const std::string id = record.attempt().id();
      if (!entry.key.starts_with(settled)) {  // all of these come first
        left.emplace(id, std::move(record));
        continue;
      }
      AddAttempts(taken.totals[record.attempt().stage()], record.totals());
      if (const auto same = left.find(id); same != left.end()) {
        AddAttempts(taken.left[same->second.attempt().stage()], same->second.totals());
      }
      taken.ids.insert(id);
    }
    begin = std::move(page.next);
  }
  co_return taken;
}

}  // namespace millrace
