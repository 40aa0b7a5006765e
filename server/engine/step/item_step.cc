// A stage at work that takes items one by one or in chunks. It takes them as they come, passes those on for which
// `when` does not hold, reuses memoized results, computes the others, and commits ended items in groups.

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "server/engine/step/feed.h"
#include "server/engine/step/memo_lookup.h"
#include "server/engine/step/slice.h"
#include "server/engine/step/step.h"
#include "server/engine/step/tolerance.h"
#include "server/engine/times.h"
#include "server/stages/stop_flag.h"
#include "server/storage/records.h"
#include "server/trace/names.h"

namespace millrace {
namespace {

constexpr int kChunksMax = 2;                  // looked up or computed at once
constexpr size_t kGroupItemsMax = 1024;        // committed together
constexpr size_t kOutboxItemsMax = 2048;       // ended, not yet committed and delivered, before no more is begun
constexpr size_t kOutboxBytesMax = 16u << 20;  // their bytes
constexpr size_t kDueMax = 4096;               // woken items that wait for a chunk
constexpr int64_t kConcurrencyDefault = 1000;

size_t BytesOf(const StageRows::Delivery& delivery) {
  size_t bytes = 0;
  for (const InputItem& item : delivery.items) bytes += item.json ? item.json->size() : 0;
  return bytes;
}

class ItemStep final : public Step {
 public:
  ItemStep(StepHost& host, int stage)
      : host_(host),
        stage_(stage),
        slot_(host.slot(stage)),
        rows_(*slot_.rows),
        failures_(slot_.definition->max_failures(), ShapeOf(*slot_.work) == StageShape::kCalling, rows_.progress()),
        loop_(host.deps().loop),
        changed_(loop_),
        slots_(loop_),
        room_(loop_),
        ended_(loop_),
        committed_(loop_) {
    concurrency_ = slot_.definition->concurrency() > 0 ? slot_.definition->concurrency() : kConcurrencyDefault;
    // Ids may be duplicates if they come from several stages, or were changed before this episode.
    check_ids_ = host.plan().stage(stage).needs.size() > 1 || rows_.record().commits() > 0;
    if (!rows_.done()) feed_ = std::make_unique<Feed>(host, stage, changed_);
  }

  Task<void> Run() override;
  void Wake() override {
    ++wakes_;
    if (host_.stopped() && feed_) feed_->Stop();
    Judge();
    changed_.NotifyAll();
    if (host_.stopped()) {
      slots_.NotifyAll();
      room_.NotifyAll();
    }
  }
  void WakeParked(int64_t ordinal, int64_t wake_micros) override;
  int64_t in_flight() const override { return in_flight_ + chunks_; }

 private:
  Task<void> TakeAll(TaskGroup& workers);
  Task<StatusOr<std::vector<InputItem>>> Take();
  Task<StatusOr<std::vector<InputItem>>> TakeDue();
  bool Idle() const { return chunks_ == 0 && in_flight_ == 0 && outbox_.empty() && committing_ == 0 && due_.empty(); }
  bool AllEnded() const { return feed_->exhausted() && Idle() && rows_.progress().parked() == 0; }

  Task<void> WorkOnChunk(int64_t number, std::vector<InputItem> chunk);
  Task<void> WorkOnAll(std::vector<OpenItem> open);
  Task<void> WorkOnOne(OpenItem open);
  void TraceRemembered(const std::vector<EndedItem>& ended);
  Task<Status> ComputeAll(int64_t number, std::vector<OpenItem> open, std::vector<EndedItem>& ended);
  Task<void> AwaitTurn(int64_t number);
  EndedItem Ended(OpenItem open, StageItem item) const;
  void Push(EndedItem ended);
  Task<void> AwaitOutbox();
  Task<void> CommitEnded();
  Task<void> DeliverCommitted();
  void Judge();

  StepHost& host_;
  const int stage_;
  StageSlot& slot_;
  StageRows& rows_;
  StageFailures failures_;
  Loop& loop_;
  int64_t concurrency_ = kConcurrencyDefault;
  std::unique_ptr<Feed> feed_;
  std::optional<CallingContext> context_;  // copied for each item

  Event changed_;  // notified when there may be items to take, or no more will come
  uint64_t wakes_ = 0;
  Event slots_;  // notified when a call slot is free
  Event room_;   // notified when the outbox, or the number of chunks, has shrunk
  Event ended_;  // notified when the outbox has items, or no more will come
  int chunks_ = 0;
  int64_t chunks_begun_ = 0;
  int64_t chunks_pushed_ = 0;  // chunks whose results that need no call are in the outbox
  int64_t in_flight_ = 0;
  std::vector<EndedItem> outbox_;
  size_t outbox_bytes_ = 0;
  size_t committing_ = 0;
  bool closing_ = false;
  // Committed items that are being delivered to stages, which may be slow. Commits continue meanwhile, since others may
  // wait for the answers in them.
  std::deque<StageRows::Delivery> deliveries_;
  size_t undelivered_ = 0;
  size_t undelivered_bytes_ = 0;
  Event committed_;
  bool all_committed_ = false;
  bool check_ids_ = false;
  std::deque<std::pair<int64_t, int64_t>> due_;  // ordinal and wake-up time of woken items that wait for a chunk
  std::map<int64_t, int64_t> woken_;             // all woken items that have not ended, by ordinal
};

Task<void> ItemStep::Run() {
  if (rows_.done()) co_return;
  Judge();
  // A stage that checks its whole input waits for all of it.
  if (host_.plan().stage(stage_).whole_input) {
    if (const bool may_begin = co_await AwaitWholeInput(host_, stage_, changed_); !may_begin) co_return;
  }
  context_.emplace(MakeCallingContext(host_, stage_));
  TaskGroup committer(loop_);
  TaskGroup workers(loop_);
  committer.Spawn(CommitEnded());
  TaskGroup deliverer(loop_);
  deliverer.Spawn(DeliverCommitted());
  co_await TakeAll(workers);
  co_await workers.Join();
  closing_ = true;
  ended_.NotifyAll();
  co_await committer.Join();
  all_committed_ = true;
  committed_.NotifyAll();
  co_await deliverer.Join();
  feed_->Stop();
  Judge();
  if (host_.stopped() || !AllEnded()) co_return;
  const Status status = co_await host_.EndStage(stage_);
  if (!status.ok()) host_.FailStage(stage_, status);
  host_.Moved();
}

Task<void> ItemStep::TakeAll(TaskGroup& workers) {
  while (!host_.stopped()) {
    if (const bool has_room = co_await host_.AwaitRoom(); !has_room) break;
    const uint64_t wakes = wakes_;
    StatusOr<std::vector<InputItem>> chunk = co_await Take();
    if (!chunk.ok()) {
      if (!host_.stopped()) host_.FailStage(stage_, chunk.status());
      break;
    }
    if (chunk->empty()) {
      if (AllEnded()) break;
      if (wakes == wakes_ && !host_.stopped()) co_await changed_.Wait();
      continue;
    }
    while (chunks_ >= kChunksMax) co_await room_.Wait();
    ++chunks_;
    rows_.Begin();
    workers.Spawn(WorkOnChunk(chunks_begun_++, *std::move(chunk)));
  }
}

Task<StatusOr<std::vector<InputItem>>> ItemStep::Take() {
  if (!due_.empty()) co_return co_await TakeDue();
  co_return co_await feed_->Next(host_.options().chunk_items);
}

void ItemStep::WakeParked(int64_t ordinal, int64_t wake_micros) {
  if (rows_.done() || host_.stopped() || due_.size() >= kDueMax) return;
  if (!woken_.emplace(ordinal, wake_micros).second) return;
  due_.emplace_back(ordinal, wake_micros);
  ++wakes_;
  changed_.NotifyAll();
}

// Returns woken items as they came in. An item that is no longer parked was redriven meanwhile and is left out.
Task<StatusOr<std::vector<InputItem>>> ItemStep::TakeDue() {
  std::vector<std::pair<int64_t, int64_t>> due;
  if (due_.size() >= kDueMax) host_.LookForParked();
  while (!due_.empty() && due.size() < host_.options().chunk_items) {
    due.push_back(due_.front());
    due_.pop_front();
  }
  std::vector<std::string> keys;
  for (const auto& [ordinal, wake] : due) {
    const Plan::Source source = host_.plan().SourceOf(stage_, ordinal);
    const int need = host_.plan().stage(stage_).needs[source.need];
    keys.push_back(rows_.keys().Item(ordinal));
    keys.push_back(host_.slot(need).rows->keys().Item(source.ordinal));
  }
  MR_CO_ASSIGN_OR_RETURN(auto values, co_await host_.store().MultiGet(keys));
  std::vector<InputItem> items;
  WriteBatch stale;
  for (size_t i = 0; i < due.size(); ++i) {
    storage::v1::ItemRecord own;
    storage::v1::ItemRecord source;
    const auto& own_value = values[2 * i];
    const auto& source_value = values[2 * i + 1];
    if (own_value) MR_CO_RETURN_IF_ERROR(DecodeValue(keys[2 * i], *own_value, own));
    if (source_value) MR_CO_RETURN_IF_ERROR(DecodeValue(keys[2 * i + 1], *source_value, source));
    if (own.state() != v1::ITEM_STATE_PARKED || own.wake_micros() != due[i].second || !source_value) {
      stale.Delete(ParkedKey({due[i].second, rows_.run(), rows_.stage(), due[i].first}));
      woken_.erase(due[i].first);
      continue;
    }
    items.push_back({.ordinal = due[i].first,
                     .id = std::move(*source.mutable_id()),
                     .json = std::make_shared<const std::string>(std::move(*source.mutable_json())),
                     .degraded = source.state() == v1::ITEM_STATE_DEGRADED});
  }
  if (!stale.empty()) MR_CO_RETURN_IF_ERROR(co_await host_.store().Commit(std::move(stale), CommitMode::kReadable));
  ++wakes_;
  co_return items;
}

Task<void> ItemStep::WorkOnChunk(int64_t number, std::vector<InputItem> chunk) {
  StageTrace* const traces = host_.trace(stage_);
  trace::Span batch;
  if (traces != nullptr && !chunk.empty()) batch = traces->BeginBatch(chunk.front().ordinal, chunk.size());
  LookUpParts parts{loop_, rows_.pool(), host_.store()};
  StatusOr<LookedUp> looked = co_await LookUp(parts, std::move(chunk), slot_.when, slot_.memo_rules);
  Status status = looked.status();
  LookedUp known = looked.ok() ? *std::move(looked) : LookedUp();
  host_.NoteMemos(known.hits, known.misses, known.corrupt);
  batch.Set(trace::kMemoHits, known.hits);
  batch.AddEvent("looked up");
  if (ShapeOf(*slot_.work) == StageShape::kCalling) TraceRemembered(known.ended);
  if (ShapeOf(*slot_.work) == StageShape::kPure && !known.open.empty() && !host_.stopped()) {
    status = co_await ComputeAll(number, std::exchange(known.open, {}), known.ended);
    batch.AddEvent("computed");
  }
  co_await AwaitTurn(number);
  for (EndedItem& ended : known.ended) Push(std::move(ended));
  ++chunks_pushed_;
  room_.NotifyAll();
  if (!known.open.empty() && !host_.stopped()) co_await WorkOnAll(std::move(known.open));
  if (!status.ok()) batch.Fail(ReasonNameOf(status), MessageOf(status));
  batch.End();
  if (!status.ok() && !host_.stopped()) host_.FailStage(stage_, status);
  --chunks_;
  room_.NotifyAll();
  if (Idle()) changed_.NotifyAll();
}

EndedItem ItemStep::Ended(OpenItem open, StageItem item) const {
  EndedItem ended;
  ended.ordinal = open.input.item.ordinal;
  ended.input_id = std::move(open.input.item.id);
  ended.item = std::move(item);
  ended.item.oddities.NoteAll(open.oddities);
  ended.memo_key = open.memo_key;
  return ended;
}

// Results that need no call are committed in the order of the input, so that one input always gives one order.
Task<void> ItemStep::AwaitTurn(int64_t number) {
  while (chunks_pushed_ != number && !host_.stopped()) co_await room_.Wait();
  co_await AwaitOutbox();
}

// Pushes what the stage makes of the items, in slices, together with the items of `ended` before them. Leaves in
// `ended` those after the last. Items that a stop leaves over stay open.
Task<Status> ItemStep::ComputeAll(int64_t number, std::vector<OpenItem> open, std::vector<EndedItem>& ended) {
  const StopFlag stop(host_.stop());
  auto slice =
      std::make_shared<Slice>(std::move(open), host_.options().item_bytes_max, host_.deps().cpu_time != nullptr);
  std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return a.ordinal < b.ordinal; });
  auto next = ended.begin();
  Status status;
  while (status.ok() && slice->next < slice->open.size()) {
    auto compute = [work = slot_.work, slice, flag = stop.Share()]() -> Status {
      return slice->Compute(WorkAs<PureStage>(*work), *flag);
    };
    status = co_await Compute(loop_, rows_.pool(), std::move(compute));
    if (host_.stopped()) break;  // the last item may have been interrupted
    co_await AwaitTurn(number);
    for (auto& [input, made] : std::exchange(slice->made, {})) {
      EndedItem item = Ended(std::move(*input), std::move(made));
      for (; next != ended.end() && next->ordinal < item.ordinal; ++next) Push(std::move(*next));
      Push(std::move(item));
    }
  }
  ended.erase(ended.begin(), next);
  co_return status;
}

Task<void> ItemStep::WorkOnAll(std::vector<OpenItem> open) {
  for (OpenItem& each : open) {
    co_await AwaitOutbox();
    while (in_flight_ >= concurrency_ && !host_.stopped()) co_await slots_.Wait();
    if (const bool has_room = co_await host_.AwaitRoom(); !has_room) co_return;
    ++in_flight_;
    loop_.Spawn(WorkOnOne(std::move(each)));
    // One call begins a turn, so that other coroutines get theirs in between.
    co_await loop_.Yield();
  }
}

Task<void> ItemStep::WorkOnOne(OpenItem open) {
  trace::Span span;
  if (StageTrace* const traces = host_.trace(stage_); traces != nullptr) {
    span = traces->BeginItem(open.input.item.id, open.input.item.ordinal);
  }
  CallingContext context = *context_;
  context.call.trace = span.ref();
  context.call.item_ids.push_back(open.input.item.id);
  const v1::Stage& definition = *slot_.definition;
  if (definition.has_timeout()) context.call.deadline = loop_.Now() + ToDuration(definition.timeout());
  if (definition.has_max_elapsed_time()) context.call.max_elapsed = ToDuration(definition.max_elapsed_time());
  ParsedItem input{open.input.item, std::move(open.input.value)};
  StageItem item = co_await WorkAs<CallingStage>(*slot_.work).Process(context, std::move(input));
  StageTrace::EndItem(span, item);
  if (item.stopped) {
    woken_.erase(open.input.item.ordinal);
  } else {
    Push(Ended(std::move(open), std::move(item)));
  }
  --in_flight_;
  slots_.NotifyOne();
  if (in_flight_ == 0) {
    if (closing_) ended_.NotifyAll();
    changed_.NotifyAll();
  }
}

// Items that need no call have a trace, too, so that every item of the stage is found by its id.
void ItemStep::TraceRemembered(const std::vector<EndedItem>& ended) {
  StageTrace* const traces = host_.trace(stage_);
  if (traces == nullptr) return;
  for (const EndedItem& each : ended) {
    trace::Span span = traces->BeginItem(each.input_id, each.ordinal);
    span.Set(trace::kMemoHit, each.origin == v1::ORIGIN_MEMO);
    StageTrace::EndItem(span, each.item);
  }
}

Task<void> ItemStep::AwaitOutbox() {
  while ((outbox_.size() + undelivered_ >= kOutboxItemsMax || outbox_bytes_ + undelivered_bytes_ >= kOutboxBytesMax) &&
         !host_.stopped()) {
    co_await room_.Wait();
  }
}

void ItemStep::Push(EndedItem ended) {
  failures_.Count(ended.item);
  if (ended.item.state == v1::ITEM_STATE_FAILED) Judge();
  if (!woken_.empty()) {
    if (const auto woken = woken_.find(ended.ordinal); woken != woken_.end()) {
      ended.woken = true;
      ended.parked_until = woken->second;
    }
  }
  if (!ended.item.id.empty() && ended.item.id != ended.input_id) check_ids_ = true;
  outbox_bytes_ += BytesOf(ended);
  outbox_.push_back(std::move(ended));
  ended_.NotifyOne();
}

// Commits one group after another, so that commit numbers are in the order of commits. Ends when no more items will
// come.
Task<void> ItemStep::CommitEnded() {
  while (true) {
    while (outbox_.empty()) {
      if (closing_ && in_flight_ == 0) co_return;
      co_await ended_.Wait();
    }
    EndedGroup group;
    if (outbox_.size() <= kGroupItemsMax) {
      group.items.swap(outbox_);
    } else {
      const auto end = outbox_.begin() + kGroupItemsMax;
      group.items.assign(std::make_move_iterator(outbox_.begin()), std::make_move_iterator(end));
      outbox_.erase(outbox_.begin(), end);
    }
    outbox_bytes_ = 0;
    for (const EndedItem& ended : outbox_) outbox_bytes_ += BytesOf(ended);
    committing_ = group.items.size();
    group.check_ids = check_ids_;
    bool parks = false;
    std::vector<int64_t> woken;
    for (const EndedItem& ended : group.items) {
      if (ended.woken) woken.push_back(ended.ordinal);
      parks = parks || ended.item.wake_micros > 0;
    }
    StatusOr<StageRows::Delivery> delivery = co_await rows_.CommitOnly(std::move(group));
    committing_ = 0;
    for (const int64_t ordinal : woken) woken_.erase(ordinal);
    if (!delivery.ok()) {
      host_.FailStage(stage_, delivery.status());
    } else if (!delivery->items.empty()) {
      undelivered_ += delivery->items.size();
      undelivered_bytes_ += BytesOf(*delivery);
      deliveries_.push_back(*std::move(delivery));
      committed_.NotifyOne();
    }
    if (parks) host_.LookForParked();
    failures_.CountAtLeast(rows_.progress().failed());
    Judge();
    room_.NotifyAll();
    if (Idle()) changed_.NotifyAll();
    host_.Moved();
  }
}

// Delivers committed items. Ends when all are committed and delivered.
Task<void> ItemStep::DeliverCommitted() {
  while (true) {
    while (deliveries_.empty()) {
      if (all_committed_) co_return;
      co_await committed_.Wait();
    }
    StageRows::Delivery delivery = std::move(deliveries_.front());
    deliveries_.pop_front();
    const size_t count = delivery.items.size();
    const size_t bytes = BytesOf(delivery);
    co_await StageRows::Deliver(std::move(delivery));
    undelivered_ -= count;
    undelivered_bytes_ -= bytes;
    room_.NotifyAll();
  }
}

void ItemStep::Judge() {
  if (host_.stopped() || rows_.done()) return;
  const Status status = failures_.Judge(host_.ItemsIn(stage_), host_.InputClosed(stage_));
  if (!status.ok()) host_.FailStage(stage_, status);
}

}  // namespace

std::unique_ptr<Step> MakeItemStep(StepHost& host, int stage) { return std::make_unique<ItemStep>(host, stage); }

}  // namespace millrace
