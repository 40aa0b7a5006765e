// A barrier at work: a stage that takes all of its input at once. Its result is memoized as a whole, as a list in
// parts. Nobody sees the result before it is complete: after a crash it begins from scratch.

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
    if (!status.ok() && !host_.stopped()) host_.FailStage(stage_, status);
    working_ = false;
    host_.Moved();
  }
  void Wake() override { changed_.NotifyAll(); }
  int64_t in_flight() const override { return working_ ? 1 : 0; }

 private:
  Task<Status> Work();
  Task<StatusOr<std::optional<std::string>>> GetMemo(const std::string& key);
  Task<StatusOr<bool>> Recall();
  Task<Status> Put(std::vector<StageItem> items) override;
  void Note(const Oddities& oddities) override { Oddities::Count(oddities, *memo_.mutable_oddities()); }
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
  // The memo of the result that is being made. Its first part is in the record itself, which is committed last.
  storage::v1::MemoRecord memo_;
  bool memorable_ = true;
};

Task<Status> BarrierStep::Work() {
  if (const bool may_begin = co_await AwaitWholeInput(host_, stage_, changed_); !may_begin) co_return absl::OkStatus();
  if (const bool has_room = co_await host_.AwaitRoom(); !has_room) co_return absl::OkStatus();
  working_ = true;
  rows_.Begin();
  if (StageTrace* const traces = host_.trace(stage_); traces != nullptr) traces->BeginWork();
  host_.Moved();
  if (rows_.progress().ok() + rows_.progress().skipped() + rows_.progress().failed() + rows_.progress().degraded() >
      0) {
    WriteBatch batch;
    rows_.Reset(batch);
    MR_CO_RETURN_IF_ERROR(co_await host_.store().Commit(std::move(batch)));
  }
  if (slot_.memo_rules) {
    MR_CO_ASSIGN_OR_RETURN(const Digest input, co_await host_.DigestInput(stage_));
    memo_key_ = slot_.memo_rules->KeyOf("", input);
    MR_CO_ASSIGN_OR_RETURN(const bool recalled, co_await Recall());
    host_.NoteMemos(recalled ? 1 : 0, recalled ? 0 : 1, 0);
    if (recalled) co_return co_await End(false);
  }
  StageContext context = MakeStageContext(host_, stage_);
  WholeReader reader(host_, stage_, WholeReader::Which::kWorkedOn);
  MR_CO_RETURN_IF_ERROR(co_await WorkAs<BarrierStage>(*slot_.work).Run(context, reader, *this));
  Note(reader.oddities());
  if (host_.stopped()) co_return absl::OkStatus();
  co_return co_await End(true);
}

// Returns the memo's value; nullopt if there is none or the disk has lost it, so that it is computed again.
Task<StatusOr<std::optional<std::string>>> BarrierStep::GetMemo(const std::string& key) {
  std::vector<std::string> keys(1, key);
  MR_CO_ASSIGN_OR_RETURN(auto read, co_await GetRemembered(host_.store(), std::move(keys)));
  host_.NoteMemos(0, 0, static_cast<int64_t>(read.lost.size()));
  co_return std::move(read.values.front());
}

// Commits the memoized result; returns false if it is not complete.
Task<StatusOr<bool>> BarrierStep::Recall() {
  const std::string key = slot_.memo_rules->StoreKey(*memo_key_);
  MR_CO_ASSIGN_OR_RETURN(auto value, co_await GetMemo(key));
  storage::v1::MemoRecord head;
  if (!value || !DecodeValue(key, *value, head).ok()) co_return false;
  if (!slot_.memo_rules->Accepts(head, host_.deps().loop.clock().WallMicros())) co_return false;
  for (int64_t part = -1; part < head.further_records(); ++part) {
    if (host_.stopped()) co_return MakeError(Reason::kCancelled, "the run was stopped");
    storage::v1::MemoRecord record;
    if (part < 0) {
      record = std::move(head);
      head.set_further_records(record.further_records());
      *memo_.mutable_oddities() = record.oddities();
    } else {
      const std::string part_key = MemoPartKey(*memo_key_, part);
      MR_CO_ASSIGN_OR_RETURN(auto part_value, co_await GetMemo(part_key));
      if (!part_value || !DecodeValue(part_key, *part_value, record).ok()) {
        // A part is missing: start over and compute the result.
        WriteBatch batch;
        rows_.Reset(batch);
        MR_CO_RETURN_IF_ERROR(co_await host_.store().Commit(std::move(batch)));
        next_ordinal_ = 0;
        memo_.clear_oddities();
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

// Appends the items for which `when` does not hold after the result.
Task<Status> BarrierStep::PassOthers() {
  if (!slot_.when) co_return absl::OkStatus();
  WholeReader reader(host_, stage_, WholeReader::Which::kPassing);
  while (true) {
    MR_CO_ASSIGN_OR_RETURN(auto items, co_await reader.Next());
    if (items.empty()) co_return absl::OkStatus();
    EndedGroup group;
    group.check_ids = true;
    for (InputItem& item : items) {
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
  // A list that is kept for one run alone would never be looked up, because the run has its own rows.
  if (computed && memo_key_ && memorable_ && slot_.memo_rules->shared()) {
    memo_.set_run(rows_.run());
    memo_.set_time_micros(host_.deps().loop.clock().WallMicros());
    PutRecord(batch, slot_.memo_rules->StoreKey(*memo_key_), memo_);
  }
  std::string memo_key(memo_key_ ? memo_key_->bytes() : std::string_view());
  RecordChange change = [memo_key = std::move(memo_key),
                         oddities = memo_.oddities()](storage::v1::StageRecord& record) {
    record.set_memo_key(memo_key);
    *record.mutable_oddities() = oddities;
  };
  co_return co_await host_.EndStage(stage_, std::move(change), std::move(batch));
}

}  // namespace

std::unique_ptr<Step> MakeBarrierStep(StepHost& host, int stage) { return std::make_unique<BarrierStep>(host, stage); }

}  // namespace millrace
