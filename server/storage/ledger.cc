#include "server/storage/ledger.h"

#include "server/storage/keys.h"
#include "server/storage/value_codec.h"

namespace millrace {

using storage::v1::AttemptRecord;

namespace {

constexpr size_t kAttemptsOfCallMax = 1000;

void Put(WriteBatch& batch, std::string key, const AttemptRecord& attempt) {
  std::string value = EncodeValue(key, attempt);
  batch.Put(std::move(key), std::move(value));
}

KeyBuilder CallAttempts(std::string_view run, const Digest& call_key) {
  return KeyBuilder(Table::kCallAttempt).Text(run).Key(call_key);
}

}  // namespace

std::string AttemptKey(std::string_view run, std::string_view attempt_id) {
  return KeyBuilder(Table::kAttempt).Text(run).Text(attempt_id);
}

std::string PendingKey(const Digest& call_key) { return KeyBuilder(Table::kPending).Key(call_key); }

void PutStarted(WriteBatch& batch, const Digest& call_key, const AttemptRecord& attempt) {
  batch.Put(KeyBuilder(CallAttempts(attempt.run(), call_key)).Text(attempt.attempt().id()), "");
  const std::string payload = attempt.SerializeAsString();
  for (std::string key : {AttemptKey(attempt.run(), attempt.attempt().id()), PendingKey(call_key)}) {
    std::string value = EncodeValue(key, payload);
    batch.Put(std::move(key), std::move(value));
  }
}

void PutPending(WriteBatch& batch, const Digest& call_key, const AttemptRecord& attempt) {
  Put(batch, PendingKey(call_key), attempt);
}

void PutSettled(WriteBatch& batch, AttemptRecord attempt) {
  attempt.clear_raw();
  attempt.clear_totals();
  attempt.set_settled(true);
  std::string key = AttemptKey(attempt.run(), attempt.attempt().id());
  Put(batch, std::move(key), attempt);
}

void DeletePending(WriteBatch& batch, const Digest& call_key) { batch.Delete(PendingKey(call_key)); }

Task<StatusOr<AttemptPage>> LoadAttempts(Store& store, std::string run, std::string begin, size_t entries_max) {
  std::string first = KeyBuilder(Table::kAttempt).Text(run);
  std::string end = PrefixEnd(first);
  auto page = co_await store.Scan(begin.empty() ? std::move(first) : std::move(begin), std::move(end), entries_max);
  if (!page.ok()) co_return page.status();
  AttemptPage attempts{.attempts = {}, .next = std::move(page->next)};
  for (const StoreEntry& entry : page->entries) {
    auto attempt = Decode<AttemptRecord>(entry.key, entry.value);
    if (attempt.ok()) attempts.attempts.push_back(*std::move(attempt));
  }
  co_return attempts;
}

Task<StatusOr<std::vector<AttemptRecord>>> LoadAttemptsOf(Store& store, std::string run, Digest call_key) {
  std::string begin = CallAttempts(run, call_key);
  std::string end = PrefixEnd(begin);
  auto page = co_await store.Scan(std::move(begin), std::move(end), kAttemptsOfCallMax);
  if (!page.ok()) co_return page.status();
  std::vector<std::string> keys;
  for (const StoreEntry& entry : page->entries) {
    KeyReader key(entry.key);
    key.Text();
    key.Key();
    if (const std::optional<std::string> id = key.Text()) keys.push_back(AttemptKey(run, *id));
  }
  auto values = co_await store.MultiGet(keys);
  if (!values.ok()) co_return values.status();
  std::vector<AttemptRecord> attempts;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!(*values)[i]) continue;
    auto attempt = Decode<AttemptRecord>(keys[i], *(*values)[i]);
    if (attempt.ok()) attempts.push_back(*std::move(attempt));
  }
  co_return attempts;
}

}  // namespace millrace
