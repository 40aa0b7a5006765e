#include "server/llm/cache.h"

#include <utility>

#include "server/storage/answers.h"
#include "server/storage/ledger.h"
#include "server/storage/records.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

using storage::v1::AnswerRecord;
using storage::v1::AttemptRecord;

// Pause between two tries if the store refuses without saying that it reopens.
constexpr Duration kStoreRetry = std::chrono::milliseconds(20);

// Values that are read for each key.
constexpr size_t kForAll = 0;
constexpr size_t kForRun = 1;
constexpr size_t kPending = 2;
constexpr size_t kValues = 3;

}  // namespace

Task<Found> Cache::LookUp(std::vector<Digest> keys, LookUpRules rules) {
  std::vector<std::string> names;
  names.reserve(keys.size() * kValues);
  for (const Digest& key : keys) {
    names.push_back(AnswerKey(key));
    names.push_back(RunAnswerKey(rules.run, key));
    names.push_back(PendingKey(key));
  }
  auto read = co_await GetRemembered(store_, names);
  while (!read.ok()) {
    co_await WaitForStore(loop_, store_);
    read = co_await GetRemembered(store_, names);
  }
  const std::vector<std::optional<std::string>>& values = read->values;
  corrupt_ += static_cast<int64_t>(read->lost.size());

  const auto decode = [&](size_t at, auto& record) {
    if (!values[at]) return false;
    if (DecodeValue(names[at], *values[at], record).ok()) return true;
    ++corrupt_;
    return false;
  };
  Found found;
  found.pending.resize(keys.size());
  std::optional<AnswerRecord> kept;
  size_t kept_place = 0;
  for (size_t i = 0; i < keys.size() && !found.answer; ++i) {
    AnswerRecord answer;
    if (decode(i * kValues + kForAll, answer)) {
      const bool is_own = !rules.run.empty() && answer.run() == rules.run;
      const int64_t age_micros = loop_.clock().WallMicros() - answer.time_micros();
      const bool is_fresh =
          !rules.ttl || age_micros <= std::chrono::duration_cast<std::chrono::microseconds>(*rules.ttl).count();
      if (is_own || (rules.earlier_runs && is_fresh)) {
        found.answer = std::move(answer);
        found.place = i;
        break;
      }
    }
    if (!kept && !rules.run.empty() && decode(i * kValues + kForRun, answer)) {
      kept = std::move(answer);
      kept_place = i;
    }
  }
  if (!found.answer && kept) {
    found.answer = std::move(kept);
    found.place = kept_place;
  }
  if (rules.counted) ++(found.answer ? hits_ : misses_);
  if (found.answer) co_return found;
  for (size_t i = 0; i < keys.size(); ++i) {
    AttemptRecord attempt;
    if (decode(i * kValues + kPending, attempt)) found.pending[i] = std::move(attempt);
    if (read->lost.contains(i * kValues + kPending)) found.lost.push_back(i);
  }
  co_return found;
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
