#include "server/engine/run/redrive.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "server/storage/answers.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr size_t kPageItems = 256;

// Filter for the rows that a request names. Pure.
struct Wanted {
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  std::set<std::string> ids;

  bool Names(const storage::v1::ItemRecord& row) const {
    if (row.state() != v1::ITEM_STATE_FAILED && row.state() != v1::ITEM_STATE_DEGRADED) return false;
    // Degraded only because its input was; it is computed again when that input is redriven.
    if (row.reason() == v1::ERROR_REASON_UNSPECIFIED) return false;
    if (reason != v1::ERROR_REASON_UNSPECIFIED && row.reason() != reason) return false;
    return ids.empty() || ids.contains(row.id());
  }
};

Wanted WantedBy(const v1::RedriveRunRequest& request) {
  return {request.reason(), {request.item_ids().begin(), request.item_ids().end()}};
}

// Rows of fetches are not redriven: reading the source again would fail the same way.
bool CanRedrive(StepHost& host, const v1::RedriveRunRequest& request, int stage) {
  const PlanStage& plan = host.plan().stage(stage);
  if (!WorksOnEach(plan.shape) && plan.shape != StageShape::kBarrier) return false;
  return request.stage().empty() || request.stage() == plan.name;
}

bool HasBad(StepHost& host, int stage) {
  const v1::StageProgress& progress = host.slot(stage).rows->progress();
  return progress.failed() + progress.degraded() > 0;
}

struct Row {
  int64_t ordinal = 0;
  storage::v1::ItemRecord record;
};
struct Page {
  std::vector<Row> named;
  std::string next;
};

Task<StatusOr<Page>> NextPage(StepHost& host, int stage, std::shared_ptr<const Wanted> wanted, std::string begin) {
  auto [first, end] = host.slot(stage).rows->keys().Items();
  if (begin.empty()) begin = std::move(first);
  MR_CO_ASSIGN_OR_RETURN(auto scanned, co_await host.store().Scan(std::move(begin), std::move(end), kPageItems, 1 << 20,
                                                                  Store::Direction::kForwards));
  auto choose = [wanted, entries = std::move(scanned.entries)]() -> StatusOr<std::vector<Row>> {
    std::vector<Row> rows;
    for (const StoreEntry& entry : entries) {
      storage::v1::ItemRecord record;
      MR_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, record));
      if (wanted->Names(record)) rows.push_back({LastNumberOf(entry.key), std::move(record)});
    }
    return rows;
  };
  MR_CO_ASSIGN_OR_RETURN(auto rows, co_await Compute(host.deps().loop, host.deps().pool, std::move(choose)));
  co_return Page{std::move(rows), std::move(scanned.next)};
}

// Returns the stages to recompute from scratch: barriers and sinks below a reopened stage, and everything after them.
std::set<int> ResetStages(const Plan& plan, const std::set<int>& opened) {
  std::set<int> reset;
  for (const int stage : plan.order()) {
    const PlanStage& at = plan.stage(stage);
    const bool depends = std::any_of(at.needs.begin(), at.needs.end(),
                                     [&](int need) { return opened.contains(need) || reset.contains(need); });
    const bool after_reset =
        std::any_of(at.needs.begin(), at.needs.end(), [&](int need) { return reset.contains(need); });
    const bool whole = at.shape == StageShape::kBarrier || at.shape == StageShape::kSink;
    if (after_reset || (depends && whole)) reset.insert(stage);
    // A barrier with failed items computes all its items again.
    if (opened.contains(stage) && whole) reset.insert(stage);
  }
  return reset;
}

// Returns the stages that have items which the request names, and the stages that depend on them.
std::set<int> OpenedBy(StepHost& host, const v1::RedriveRunRequest& request) {
  std::set<int> opened;
  for (const int stage : host.plan().order()) {
    if (!CanRedrive(host, request, stage) || !HasBad(host, stage)) continue;
    opened.insert(stage);
    for (const int after : host.plan().After(stage)) opened.insert(after);
  }
  return opened;
}

// Deletes rows of one stage, and the rows that other stages made from them.
class RowEraser {
 public:
  explicit RowEraser(StepHost& host) : host_(host) {
    for (int stage = 0; stage < host.plan().size(); ++stage) records_.emplace(stage, host.slot(stage).rows->record());
  }

  // Deletes the answers that the run was given for these rows, so that their calls are made again.
  void ForgetAnswers(const std::vector<Row>& rows) {
    std::vector<Digest> keys;
    for (const Row& row : rows) {
      for (const std::string& bytes : row.record.call_keys()) {
        if (const std::optional<Digest> key = Digest::FromBytes(bytes)) keys.push_back(*key);
      }
    }
    ForgetRunAnswers(batch_, host_.record().run().name(), keys);
  }

  Task<Status> Take(int stage, std::vector<Row> rows) {
    const ItemKeys& keys = host_.slot(stage).rows->keys();
    for (const Row& row : rows) {
      batch_.Delete(keys.Item(row.ordinal));
      batch_.Delete(keys.Id(row.record.id()));
      if (row.record.commit() > 0) batch_.Delete(keys.Commit(row.record.commit()));
      if (row.record.state() == v1::ITEM_STATE_PARKED) {
        batch_.Delete(ParkedKey(
            {row.record.wake_micros(), host_.record().run().name(), host_.plan().stage(stage).name, row.ordinal}));
      }
      CountItem(*records_[stage].mutable_progress(), row.record, -1);
    }
    touched_.insert(stage);
    for (const int consumer : host_.plan().stage(stage).consumers) {
      if (!WorksOnEach(host_.plan().stage(consumer).shape)) continue;
      const std::vector<int>& needs = host_.plan().stage(consumer).needs;
      const int need = static_cast<int>(std::find(needs.begin(), needs.end(), stage) - needs.begin());
      const ItemKeys& consumer_keys = host_.slot(consumer).rows->keys();
      std::vector<std::string> row_keys;
      std::vector<Row> made;
      for (const Row& row : rows) {
        made.push_back({host_.plan().OrdinalIn(consumer, need, row.ordinal), {}});
        row_keys.push_back(consumer_keys.Item(made.back().ordinal));
      }
      MR_CO_ASSIGN_OR_RETURN(auto values, co_await host_.store().MultiGet(row_keys));
      std::vector<Row> there;
      for (size_t i = 0; i < made.size(); ++i) {
        if (!values[i]) continue;
        MR_CO_RETURN_IF_ERROR(DecodeValue(row_keys[i], *values[i], made[i].record));
        there.push_back(std::move(made[i]));
      }
      if (!there.empty()) MR_CO_RETURN_IF_ERROR(co_await Take(consumer, std::move(there)));
    }
    co_return absl::OkStatus();
  }

  // Commits the deletions with the new counts.
  Task<Status> Commit() {
    for (const int stage : touched_) {
      StageRows& rows = *host_.slot(stage).rows;
      const storage::v1::StageRecord record = records_[stage];
      RecordChange change = [record](storage::v1::StageRecord& to) { to = record; };
      const bool last = stage == *touched_.rbegin();
      if (last) co_return co_await rows.Update(std::move(change), std::move(batch_));
      rows.Prepare(change, batch_);
    }
    co_return absl::OkStatus();
  }

 private:
  StepHost& host_;
  std::map<int, storage::v1::StageRecord> records_;
  std::set<int> touched_;
  WriteBatch batch_;
};

}  // namespace

Task<StatusOr<int64_t>> CountRedriven(StepHost& host, const v1::RedriveRunRequest& request) {
  if (!request.stage().empty() && host.plan().Find(request.stage()) < 0) {
    co_return MakeError(Reason::kStageNotFound, fmt::format("the run has no stage `{}`", Excerpt(request.stage())));
  }
  for (const std::string& id : request.item_ids()) {
    std::vector<std::string> keys;
    for (int stage = 0; stage < host.plan().size(); ++stage) keys.push_back(host.slot(stage).rows->keys().Id(id));
    MR_CO_ASSIGN_OR_RETURN(auto found, co_await host.store().MultiGet(std::move(keys)));
    if (std::none_of(found.begin(), found.end(), [](const auto& value) { return value.has_value(); })) {
      co_return MakeError(Reason::kItemNotFound, fmt::format("the run has no item `{}`", Excerpt(id)));
    }
  }
  const auto wanted = std::make_shared<const Wanted>(WantedBy(request));
  int64_t count = 0;
  for (const int stage : host.plan().order()) {
    if (!CanRedrive(host, request, stage) || !HasBad(host, stage)) continue;
    std::string next;
    do {
      MR_CO_ASSIGN_OR_RETURN(Page page, co_await NextPage(host, stage, wanted, std::move(next)));
      count += static_cast<int64_t>(page.named.size());
      next = std::move(page.next);
    } while (!next.empty());
  }
  co_return count;
}

void OpenStages(StepHost& host, const v1::RedriveRunRequest& request, WriteBatch& batch) {
  const std::set<int> opened = OpenedBy(host, request);
  const std::set<int> reset = ResetStages(host.plan(), opened);
  for (const int stage : reset) host.slot(stage).rows->Reset(batch);
  for (const int stage : opened) {
    if (reset.contains(stage)) continue;
    const RecordChange open = [](storage::v1::StageRecord& record) {
      record.set_done(false);
      record.mutable_progress()->set_done(false);
    };
    host.slot(stage).rows->Prepare(open, batch);
  }
}

Task<Status> TakeBack(StepHost& host, const v1::RedriveRunRequest& request) {
  const auto wanted = std::make_shared<const Wanted>(WantedBy(request));
  for (const int stage : host.plan().order()) {
    if (!CanRedrive(host, request, stage) || !HasBad(host, stage)) continue;
    std::string next;
    do {
      MR_CO_ASSIGN_OR_RETURN(Page page, co_await NextPage(host, stage, wanted, std::move(next)));
      next = std::move(page.next);
      if (page.named.empty()) continue;
      RowEraser eraser(host);
      eraser.ForgetAnswers(page.named);
      MR_CO_RETURN_IF_ERROR(co_await eraser.Take(stage, std::move(page.named)));
      MR_CO_RETURN_IF_ERROR(co_await eraser.Commit());
    } while (!next.empty());
  }
  co_return absl::OkStatus();
}

}  // namespace millrace
