// A stage that works on all of its input at once, at work. Its result is remembered as a whole, as a list in parts.
// What it makes is seen by nobody before all of it is there: a crash in between begins it again from nothing.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "server/engine/step/feed.h"
#include "server/engine/step/memo_lookup.h"
#include "server/engine/step/step.h"
#include "server/engine/step/tolerance.h"
#include "server/storage/memos.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

constexpr size_t kPartItemsMax = 256;

bool IsRemembered(const StageItem& item) {
  return item.state == v1::ITEM_STATE_OK || item.state == v1::ITEM_STATE_SKIPPED;
}

storage::v1::MemoItem MemoItemOf(const StageItem& item) {
  storage::v1::MemoItem memo;
  memo.set_id(item.id);
  memo.set_json(item.json);
  memo.set_state(item.state);
  memo.set_reason(item.reason);
  memo.set_message(item.message);
  for (const std::string& note : item.notes) memo.add_notes(note);
  for (const std::string& id : item.input_ids) memo.add_input_ids(id);
  return memo;
}

class BarrierStep final : public Step, private ItemWriter {
 public:
  BarrierStep(StepHost& host, int stage)
      : host_(host), stage_(stage), slot_(host.slot(stage)), rows_(*slot_.rows), changed_(host.deps().loop) {}

  Task<void> Run() override {
    if (rows_.done()) co_return;
    const Status status = co_await Work();
    if (!status.ok() && !host_.stopped()) FailStage(host_, stage_, status);
    working_ = false;
    host_.Moved();
  }
  void Wake() override { changed_.NotifyAll(); }
  int64_t in_flight() const override { return working_ ? 1 : 0; }

 private:
  Task<Status> Work();
  Task<StatusOr<Digest>> DigestInput();
  Task<StatusOr<std::optional<std::string>>> GetMemo(const std::string& key);
  Task<StatusOr<bool>> Recall();
  Task<Status> Put(std::vector<StageItem> items) override;
  Task<Status> PassOthers();
  Task<Status> End(bool computed);

  StepHost& host_;
  const int stage_;
  StageSlot& slot_;
  StageRows& rows_;
  Event changed_;
  bool working_ = false;
  std::optional<Digest> memo_key_;
  int64_t next_ordinal_ = 0;
  // Of the result that is being made: its first part stands in the record itself, which is committed last.
  storage::v1::MemoRecord memo_;
  bool memorable_ = true;
};

Task<Status> BarrierStep::Work() {
  if (const bool held = co_await AwaitWholeInput(host_, stage_, changed_); !held) co_return absl::OkStatus();
  if (const bool held = co_await host_.AwaitRoom(); !held) co_return absl::OkStatus();
  working_ = true;
  rows_.Begin();
  host_.Moved();
  if (rows_.progress().ok() + rows_.progress().skipped() + rows_.progress().failed() + rows_.progress().degraded() >
      0) {
    WriteBatch batch;
    rows_.Reset(batch);
    MR_CO_RETURN_IF_ERROR(co_await host_.store().Commit(std::move(batch)));
  }
  if (slot_.memo_rules) {
    StatusOr<Digest> input = co_await DigestInput();
    if (!input.ok()) co_return input.status();
    memo_key_ = slot_.memo_rules->KeyOf("", *input);
    StatusOr<bool> recalled = co_await Recall();
    if (!recalled.ok()) co_return recalled.status();
    host_.NoteMemos(*recalled ? 1 : 0, *recalled ? 0 : 1, 0);
    if (*recalled) co_return co_await End(false);
  }
  StageContext context = MakeStageContext(host_, stage_);
  WholeReader reader(host_, stage_, WholeReader::Which::kWorkedOn);
  MR_CO_RETURN_IF_ERROR(co_await slot_.work->barrier->Run(context, reader, *this));
  if (host_.stopped()) co_return absl::OkStatus();
  co_return co_await End(true);
}

// Over (id, digest) of every item in order; on the pool, page by page.
Task<StatusOr<Digest>> BarrierStep::DigestInput() {
  WholeReader reader(host_, stage_, WholeReader::Which::kWorkedOn);
  auto digester = std::make_shared<Digester>();
  while (true) {
    auto items = co_await reader.Next();
    if (!items.ok()) co_return items.status();
    if (items->empty()) break;
    auto add = [digester, items = *std::move(items)]() -> Status {
      for (const InputItem& item : items) {
        const StatusOr<Digest> digest = ItemDigest(*item.json);
        if (!digest.ok()) return digest.status();
        digester->AddPart(item.id).Add(digest->bytes());
      }
      return absl::OkStatus();
    };
    MR_CO_RETURN_IF_ERROR(co_await Compute(host_.deps().loop, rows_.pool(), std::move(add)));
  }
  co_return digester->Finish();
}

// One that the disk has lost is made again.
Task<StatusOr<std::optional<std::string>>> BarrierStep::GetMemo(const std::string& key) {
  std::vector<std::string> keys(1, key);
  auto read = co_await GetRemembered(host_.store(), std::move(keys));
  if (!read.ok()) co_return read.status();
  host_.NoteMemos(0, 0, static_cast<int64_t>(read->lost.size()));
  co_return std::move(read->values.front());
}

// Takes the result from memory; false where it is not there whole.
Task<StatusOr<bool>> BarrierStep::Recall() {
  const std::string key = slot_.memo_rules->StoreKey(*memo_key_);
  auto value = co_await GetMemo(key);
  if (!value.ok()) co_return value.status();
  storage::v1::MemoRecord head;
  if (!*value || !DecodeValue(key, **value, head).ok()) co_return false;
  if (!slot_.memo_rules->Accepts(head, host_.deps().loop.clock().WallMicros())) co_return false;
  for (int64_t part = -1; part < head.further_records(); ++part) {
    if (host_.stopped()) co_return MakeError(Reason::kCancelled, "the run was stopped");
    storage::v1::MemoRecord record;
    if (part < 0) {
      record = std::move(head);
      head.set_further_records(record.further_records());
    } else {
      const std::string part_key = MemoPartKey(*memo_key_, part);
      auto part_value = co_await GetMemo(part_key);
      if (!part_value.ok()) co_return part_value.status();
      if (!*part_value || !DecodeValue(part_key, **part_value, record).ok()) {
        // Parts of it are gone: begin again and make it anew.
        WriteBatch batch;
        rows_.Reset(batch);
        MR_CO_RETURN_IF_ERROR(co_await host_.store().Commit(std::move(batch)));
        next_ordinal_ = 0;
        co_return false;
      }
    }
    EndedGroup group;
    for (storage::v1::MemoItem& item : *record.mutable_items()) {
      InputItem place;
      place.ordinal = next_ordinal_++;
      group.items.push_back(FromMemo(std::move(place), record, std::move(item)));
    }
    group.check_ids = true;
    MR_CO_RETURN_IF_ERROR(co_await rows_.Commit(std::move(group)));
    host_.Moved();
  }
  co_return true;
}

Task<Status> BarrierStep::Put(std::vector<StageItem> items) {
  for (size_t begin = 0; begin < items.size(); begin += kPartItemsMax) {
    if (host_.stopped()) co_return MakeError(Reason::kCancelled, "the run was stopped");
    const size_t end = std::min(begin + kPartItemsMax, items.size());
    EndedGroup group;
    group.check_ids = true;
    storage::v1::MemoRecord part;
    for (size_t i = begin; i < end; ++i) {
      if (!IsRemembered(items[i])) memorable_ = false;
      if (memo_key_ && memorable_) *part.add_items() = MemoItemOf(items[i]);
      EndedItem ended;
      ended.ordinal = next_ordinal_++;
      ended.item = std::move(items[i]);
      group.items.push_back(std::move(ended));
    }
    if (memo_key_ && memorable_ && slot_.memo_rules->shared()) {
      if (memo_.items_size() == 0) {
        memo_.mutable_items()->Swap(part.mutable_items());
      } else {
        PutRecord(group.more, MemoPartKey(*memo_key_, memo_.further_records()), part);
        memo_.set_further_records(memo_.further_records() + 1);
      }
    }
    MR_CO_RETURN_IF_ERROR(co_await rows_.Commit(std::move(group)));
    host_.Moved();
  }
  co_return absl::OkStatus();
}

// Items for which `when` does not hold come after what the stage made.
Task<Status> BarrierStep::PassOthers() {
  if (!slot_.when) co_return absl::OkStatus();
  WholeReader reader(host_, stage_, WholeReader::Which::kPassing);
  while (true) {
    auto items = co_await reader.Next();
    if (!items.ok()) co_return items.status();
    if (items->empty()) co_return absl::OkStatus();
    EndedGroup group;
    group.check_ids = true;
    for (InputItem& item : *items) {
      EndedItem ended;
      ended.ordinal = next_ordinal_++;
      ended.input_id = std::move(item.id);
      ended.json = std::move(item.json);
      if (item.degraded) ended.item.state = v1::ITEM_STATE_DEGRADED;
      ended.origin = v1::ORIGIN_PASSED;
      group.items.push_back(std::move(ended));
    }
    MR_CO_RETURN_IF_ERROR(co_await rows_.Commit(std::move(group)));
  }
}

Task<Status> BarrierStep::End(bool computed) {
  MR_CO_RETURN_IF_ERROR(co_await PassOthers());
  const v1::StageProgress& progress = rows_.progress();
  if (Exceeds(slot_.definition->max_failures(), progress.failed(), host_.ItemsIn(stage_), true)) {
    co_return MakeError(Reason::kTooManyFailures,
                        fmt::format("{} items failed, more than max_failures allows", progress.failed()));
  }
  WriteBatch batch;
  // A list that is kept for one run alone would never be looked up: the run's own rows are there.
  if (computed && memo_key_ && memorable_ && slot_.memo_rules->shared()) {
    memo_.set_run(rows_.run());
    memo_.set_time_micros(host_.deps().loop.clock().WallMicros());
    PutRecord(batch, slot_.memo_rules->StoreKey(*memo_key_), memo_);
  }
  std::string memo_key(memo_key_ ? memo_key_->bytes() : std::string_view());
  RecordChange change = [memo_key = std::move(memo_key)](storage::v1::StageRecord& record) {
    record.set_memo_key(memo_key);
  };
  co_return co_await host_.EndStage(stage_, std::move(change), std::move(batch));
}

}  // namespace

std::unique_ptr<Step> MakeBarrierStep(StepHost& host, int stage) { return std::make_unique<BarrierStep>(host, stage); }

}  // namespace millrace
