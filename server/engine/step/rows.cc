#include "server/engine/step/rows.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "server/engine/stage_counts.h"
#include "server/engine/times.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

constexpr size_t kIdBytesMax = 256;

bool Delivers(v1::ItemState state) { return state == v1::ITEM_STATE_OK || state == v1::ITEM_STATE_DEGRADED; }

// Returns another id for an item whose id is taken, so that it can be shown and redriven.
std::string IdOfRepeated(const std::string& id, int64_t ordinal) {
  const std::string mark = fmt::format("#{}", ordinal);
  size_t keep = std::min(id.size(), kIdBytesMax - mark.size());
  while (keep > 0 && keep < id.size() && (static_cast<uint8_t>(id[keep]) & 0xC0) == 0x80) --keep;
  return id.substr(0, keep) + mark;
}

// Replaces the item with `failed`, keeping its cost and its settlement.
void Fail(EndedItem& ended, StageItem failed) {
  if (failed.id.empty()) failed.id = std::move(ended.item.id);
  failed.totals = ended.item.totals;
  failed.input_ids = std::move(ended.item.input_ids);
  failed.call_keys = std::move(ended.item.call_keys);
  failed.settlement = std::move(ended.item.settlement);
  failed.oddities = std::move(ended.item.oddities);
  ended.item = std::move(failed);
  ended.json = nullptr;
  ended.memo_key.reset();
}

storage::v1::MemoRecord MemoOf(const EndedItem& ended, const std::string& run, int64_t now_micros) {
  storage::v1::MemoRecord memo;
  memo.set_run(run);
  memo.set_time_micros(now_micros);
  for (const Digest& key : ended.item.call_keys) memo.add_call_keys(std::string(key.bytes()));
  storage::v1::MemoItem& item = *memo.add_items();
  if (!ended.item.id.empty() && ended.item.id != ended.input_id) item.set_id(ended.item.id);
  if (ended.json) item.set_json(*ended.json);
  item.set_state(ended.item.state);
  item.set_reason(ended.item.reason);
  item.set_message(ended.item.message);
  for (const std::string& note : ended.item.notes) item.add_notes(note);
  for (const std::string& id : ended.item.input_ids) item.add_input_ids(id);
  for (const storage::v1::Oddity& oddity : ended.item.oddities.list()) *item.add_oddities() = oddity;
  return memo;
}

}  // namespace

void CountItem(v1::StageProgress& progress, const storage::v1::ItemRecord& item, int sign) {
  switch (item.state()) {
    case v1::ITEM_STATE_OK:
      progress.set_ok(progress.ok() + sign);
      break;
    case v1::ITEM_STATE_DEGRADED:
      progress.set_degraded(progress.degraded() + sign);
      // Without a reason, it is degraded only because its input is.
      if (item.reason() != v1::ERROR_REASON_UNSPECIFIED) progress.set_fallbacks(progress.fallbacks() + sign);
      break;
    case v1::ITEM_STATE_FAILED:
      progress.set_failed(progress.failed() + sign);
      break;
    case v1::ITEM_STATE_SKIPPED:
      progress.set_skipped(progress.skipped() + sign);
      break;
    case v1::ITEM_STATE_PARKED:
      progress.set_parked(progress.parked() + sign);
      return;
    default:
      return;
  }
  if (item.origin() == v1::ORIGIN_COMPUTED) progress.set_computed(progress.computed() + sign);
  if (item.origin() == v1::ORIGIN_MEMO) progress.set_reused(progress.reused() + sign);
}

// A group encoded for its commit, made on the pool.
struct StageRows::Encoded {
  WriteBatch batch;
  storage::v1::StageRecord record;
  std::vector<InputItem> passed_on;
};

namespace {

// Everything that encoding a group needs; the job on the pool owns it.
struct Encoding {
  std::shared_ptr<const ItemKeys> keys;
  std::shared_ptr<const MemoRules> memo_rules;
  std::string run;
  std::string stage;
  storage::v1::StageRecord record;
  EndedGroup group;
  std::vector<std::optional<std::string>> id_holders;  // if ids are checked: values of the id index
  int64_t now_micros = 0;
};

void MarkRepeatedIds(Encoding& encoding) {
  if (!encoding.group.check_ids) return;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < encoding.group.items.size(); ++i) {
    EndedItem& ended = encoding.group.items[i];
    const std::string& id = ended.item.id;
    const std::optional<std::string>& holder = encoding.id_holders[i];
    const bool taken = holder && DecodeOrdinal(encoding.keys->Id(id), *holder).value_or(ended.ordinal) != ended.ordinal;
    if (!taken && seen.insert(id).second) continue;
    StageItem failed = FailedItem(v1::ERROR_REASON_BAD_ITEM_ID, fmt::format("duplicate item id `{}`", Excerpt(id)));
    failed.id = IdOfRepeated(id, ended.ordinal);
    Fail(ended, std::move(failed));
  }
}

void EncodeItem(Encoding& encoding, EndedItem& ended, WriteBatch& batch, std::vector<InputItem>& passed_on) {
  storage::v1::StageRecord& record = encoding.record;
  v1::StageProgress& progress = *record.mutable_progress();
  const bool parks = ended.item.wake_micros > 0;
  storage::v1::ItemRecord row;
  row.set_id(ended.item.id);
  row.set_state(parks ? v1::ITEM_STATE_PARKED : ended.item.state);
  if (ended.json) row.set_json(*ended.json);
  row.set_reason(ended.item.reason);
  row.set_message(ended.item.message);
  row.set_end_time_micros(encoding.now_micros);
  row.set_origin(ended.origin);
  for (std::string& note : ended.item.notes) row.add_notes(note);
  for (std::string& id : ended.item.input_ids) row.add_input_ids(id);
  for (const Digest& key : ended.item.call_keys) row.add_call_keys(std::string(key.bytes()));
  *row.mutable_totals() = ended.item.totals;
  if (ended.item.totals.ByteSizeLong() == 0) row.clear_totals();
  AddTotals(progress, ended.item.totals);
  if (!parks) Oddities::Count(ended.item.oddities, *record.mutable_oddities());
  if (ended.woken) {
    progress.set_parked(progress.parked() - 1);
    if (ended.parked_until > 0) {
      batch.Delete(ParkedKey({ended.parked_until, encoding.run, encoding.stage, ended.ordinal}));
    }
  }
  if (parks) {
    row.set_wake_micros(ended.item.wake_micros);
    std::string key = ParkedKey({ended.item.wake_micros, encoding.run, encoding.stage, ended.ordinal});
    std::string value = EncodeValue(key, std::string_view());
    batch.Put(std::move(key), std::move(value));
  } else {
    record.set_commits(record.commits() + 1);
    row.set_commit(record.commits());
    std::string key = encoding.keys->Commit(record.commits());
    std::string value = EncodeOrdinal(key, ended.ordinal);
    batch.Put(std::move(key), std::move(value));
    const bool remembers = ended.item.state == v1::ITEM_STATE_OK || ended.item.state == v1::ITEM_STATE_SKIPPED;
    if (ended.memo_key && encoding.memo_rules && remembers) {
      row.set_memo_key(std::string(ended.memo_key->bytes()));
      if (ended.origin == v1::ORIGIN_COMPUTED) {
        PutRecord(batch, encoding.memo_rules->StoreKey(*ended.memo_key),
                  MemoOf(ended, encoding.run, encoding.now_micros));
      }
    }
  }
  CountItem(progress, row, 1);
  std::string id_key = encoding.keys->Id(row.id());
  std::string id_value = EncodeOrdinal(id_key, ended.ordinal);
  batch.Put(std::move(id_key), std::move(id_value));
  PutRecord(batch, encoding.keys->Item(ended.ordinal), row);
  batch.Append(std::move(ended.item.settlement.batch));
  if (!parks && Delivers(ended.item.state)) {
    passed_on.push_back({.ordinal = ended.ordinal,
                         .id = std::move(ended.item.id),
                         .json = std::move(ended.json),
                         .degraded = ended.item.state == v1::ITEM_STATE_DEGRADED});
  }
}

}  // namespace

StageRows::StageRows(Parts parts, std::string run, std::string stage, storage::v1::StageRecord record)
    : parts_(parts),
      computing_(parts.pool, parts.slow != nullptr ? *parts.slow : parts.pool, parts.cpu_time),
      run_(std::move(run)),
      stage_(std::move(stage)),
      keys_(std::make_shared<const ItemKeys>(run_, stage_)),
      record_(std::move(record)),
      delivered_(record_.commits()),
      moved_(parts.loop) {}

Task<Status> StageRows::Commit(EndedGroup group) {
  MR_CO_ASSIGN_OR_RETURN(Delivery delivery, co_await CommitOnly(std::move(group)));
  co_await Deliver(std::move(delivery));
  co_return absl::OkStatus();
}

Task<void> StageRows::Deliver(Delivery delivery) {
  if (delivery.items.empty() || delivery.consumers.empty()) co_return;
  for (size_t i = 0; i + 1 < delivery.consumers.size(); ++i) co_await delivery.consumers[i]->Put(delivery.items);
  co_await delivery.consumers.back()->Put(std::move(delivery.items));
}

Task<StatusOr<StageRows::Delivery>> StageRows::CommitOnly(EndedGroup group) {
  auto encoding = std::make_shared<Encoding>();
  // Held until the group is committed: then the next asker of the same question finds its answer.
  Settlement::Claims claims;
  for (EndedItem& ended : group.items) {
    ended.item.settlement.MoveClaimsTo(claims);
    if (ended.item.id.empty()) ended.item.id = ended.input_id;
    if (!ended.json && !ended.item.json.empty()) {
      ended.json = std::make_shared<const std::string>(std::move(ended.item.json));
    }
    if (ended.json && ended.json->size() > item_bytes_max_) {
      Fail(ended, FailedItem(v1::ERROR_REASON_BAD_ITEM,
                             fmt::format("the item has {} bytes of JSON, the server's max_item_bytes is {}",
                                         ended.json->size(), item_bytes_max_)));
    }
  }
  const size_t count = group.items.size();
  group.check_ids = group.check_ids && checks_ids_;
  if (group.check_ids) {
    std::vector<std::string> keys;
    keys.reserve(count);
    for (const EndedItem& ended : group.items) keys.push_back(keys_->Id(ended.item.id));
    MR_CO_ASSIGN_OR_RETURN(auto holders, co_await parts_.store.MultiGet(std::move(keys)));
    encoding->id_holders = std::move(holders);
  }
  encoding->keys = keys_;
  encoding->memo_rules = memo_rules_;
  encoding->run = run_;
  encoding->stage = stage_;
  Begin();
  encoding->record = record_;
  AddTo(*encoding->record.mutable_progress()->mutable_elapsed_time(), parts_.loop.Now() - *elapsed_until_);
  elapsed_until_ = parts_.loop.Now();
  CountComputing(*encoding->record.mutable_progress());
  encoding->group = std::move(group);
  encoding->now_micros = parts_.loop.clock().WallMicros();
  auto encode = [encoding] {
    Encoded encoded;
    MarkRepeatedIds(*encoding);
    EndedGroup& group = encoding->group;
    encoded.passed_on.reserve(group.items.size());
    for (EndedItem& ended : group.items) EncodeItem(*encoding, ended, encoded.batch, encoded.passed_on);
    if (group.cursor) {
      *encoding->record.mutable_cursor() = *std::move(group.cursor);
      v1::StageProgress& progress = *encoding->record.mutable_progress();
      progress.set_items_in(progress.items_in() + group.rows_read);
    }
    PutRecord(encoded.batch, StageKey(encoding->run, encoding->stage), encoding->record);
    encoded.batch.Append(std::move(group.more));
    encoded.record = std::move(encoding->record);
    return encoded;
  };
  Encoded encoded = co_await Compute(parts_.loop, parts_.pool, std::move(encode));
  const TimePoint begun = parts_.loop.Now();
  MR_CO_RETURN_IF_ERROR(co_await parts_.store.Commit(std::move(encoded.batch)));
  // Counted with the next commit, because it is known only now.
  AddTo(*encoded.record.mutable_progress()->mutable_storing_time(),
        (parts_.loop.Now() - begun) * static_cast<int64_t>(count));
  record_ = std::move(encoded.record);
  // A consumer attached after this line receives later commits only.
  delivered_ = record_.commits();
  Delivery delivery{std::move(encoded.passed_on), consumers_};
  moved_.NotifyAll();
  co_return delivery;
}

Task<Status> StageRows::Update(RecordChange change, WriteBatch more) {
  storage::v1::StageRecord record = record_;
  if (elapsed_until_) AddTo(*record.mutable_progress()->mutable_elapsed_time(), parts_.loop.Now() - *elapsed_until_);
  elapsed_until_.reset();
  CountComputing(*record.mutable_progress());
  change(record);
  PutRecord(more, StageKey(run_, stage_), record);
  MR_CO_RETURN_IF_ERROR(co_await parts_.store.Commit(std::move(more)));
  record_ = std::move(record);
  moved_.NotifyAll();
  if (record_.done()) {
    for (ItemConsumer* consumer : consumers_) consumer->Close();
  }
  co_return absl::OkStatus();
}

Task<Status> StageRows::End(RecordChange change, WriteBatch more) {
  RecordChange end = [change = std::move(change)](storage::v1::StageRecord& record) {
    record.set_done(true);
    record.mutable_progress()->set_done(true);
    change(record);
  };
  co_return co_await Update(std::move(end), std::move(more));
}

void StageRows::CountComputing(v1::StageProgress& progress) {
  if (const Duration spent = computing_.TakeSpent(); spent.count() > 0)
    AddTo(*progress.mutable_computing_time(), spent);
}

void StageRows::Prepare(const RecordChange& change, WriteBatch& batch) {
  CountComputing(*record_.mutable_progress());
  change(record_);
  PutRecord(batch, StageKey(run_, stage_), record_);
}

void StageRows::Reset(WriteBatch& batch) {
  keys_->DeleteAll(batch);
  v1::StageProgress& progress = *record_.mutable_progress();
  for (const auto set :
       {&v1::StageProgress::set_ok, &v1::StageProgress::set_degraded, &v1::StageProgress::set_failed,
        &v1::StageProgress::set_skipped, &v1::StageProgress::set_parked, &v1::StageProgress::set_reused,
        &v1::StageProgress::set_computed, &v1::StageProgress::set_fallbacks}) {
    (progress.*set)(0);
  }
  progress.set_done(false);
  record_.set_done(false);
  record_.clear_memo_key();
  record_.clear_oddities();
  PutRecord(batch, StageKey(run_, stage_), record_);
}

}  // namespace millrace
