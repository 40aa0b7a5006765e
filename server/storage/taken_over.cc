#include "server/storage/taken_over.h"

#include <algorithm>
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

void Add(TotalsByStage& to, const std::string& stage, const CallTotals& more) {
  CallTotals& sum = to[stage];
  sum.set_attempts(sum.attempts() + more.attempts());
  sum.set_maybe_billed(sum.maybe_billed() + more.maybe_billed());
  sum.set_input_tokens(sum.input_tokens() + more.input_tokens());
  sum.set_output_tokens(sum.output_tokens() + more.output_tokens());
  sum.set_cost_nano_usd(sum.cost_nano_usd() + more.cost_nano_usd());
  sum.set_unpriced_attempts(sum.unpriced_attempts() + more.unpriced_attempts());
  sum.set_calling_nanos(sum.calling_nanos() + more.calling_nanos());
}

}  // namespace

CallTotals AttemptsWithout(const CallTotals& from, const CallTotals& less) {
  CallTotals rest;
  rest.set_attempts(from.attempts() - less.attempts());
  rest.set_maybe_billed(from.maybe_billed() - less.maybe_billed());
  rest.set_input_tokens(from.input_tokens() - less.input_tokens());
  rest.set_output_tokens(from.output_tokens() - less.output_tokens());
  rest.set_cost_nano_usd(from.cost_nano_usd() - less.cost_nano_usd());
  rest.set_unpriced_attempts(from.unpriced_attempts() - less.unpriced_attempts());
  rest.set_calling_nanos(from.calling_nanos() - less.calling_nanos());
  return rest;
}

void PutTakenOver(WriteBatch& batch, const PendingRecord& record) {
  if (record.run().empty()) return;
  PendingRecord entry;
  entry.mutable_attempt()->set_id(record.attempt().id());
  entry.mutable_attempt()->set_stage(record.attempt().stage());
  *entry.mutable_totals() = AttemptsWithout(record.totals(), CallTotals());
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
      Add(taken.totals, record.attempt().stage(), record.totals());
      if (const auto same = left.find(id); same != left.end()) {
        Add(taken.left, same->second.attempt().stage(), same->second.totals());
      }
      taken.ids.insert(id);
    }
    begin = std::move(page.next);
  }
  co_return taken;
}

}  // namespace millrace
