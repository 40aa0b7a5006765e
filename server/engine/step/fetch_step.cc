// A fetch at work. It commits rows together with the cursor after them, so that no row is lost or read twice.

#include <algorithm>
#include <cstring>
#include <queue>
#include <utility>

#include <fmt/format.h>

#include "server/engine/step/client_input.h"
#include "server/engine/step/expect.h"
#include "server/engine/step/row_source.h"
#include "server/engine/step/step.h"
#include "server/engine/step/tolerance.h"

namespace millrace {
namespace {

// A row's rank in a sample drawn with a fixed seed: one input always gives the same sample, and an input that has grown
// gives mostly the same.
using Rank = std::pair<uint64_t, int64_t>;
Rank RankOf(const std::string& id, int64_t row) {
  uint64_t hash = 0;
  const Digest digest = Digest::Of("millrace-sample-1" + id);
  std::memcpy(&hash, digest.bytes().data(), sizeof hash);
  return {hash, row};
}

std::string IdOf(const FetchedRow& row, int64_t number) {
  return row.id.empty() ? fmt::format("row-{}", number) : row.id;
}

class FetchStep final : public Step {
 public:
  FetchStep(StepHost& host, int stage)
      : host_(host), stage_(stage), slot_(host.slot(stage)), rows_(*slot_.rows), changed_(host.deps().loop) {}

  Task<void> Run() override {
    Status status = absl::OkStatus();
    if (!rows_.done()) status = co_await ReadAll();
    if (status.ok() && rows_.done()) co_await PassesExpectations(host_, stage_);
    if (!status.ok() && !host_.stopped()) host_.FailStage(stage_, status);
    reading_ = false;
    host_.Moved();
  }
  void Wake() override {
    ++wakes_;
    changed_.NotifyAll();
  }
  bool waits_for_input() const override { return waits_; }
  int64_t in_flight() const override { return reading_ && !waits_ ? 1 : 0; }

 private:
  Task<Status> ReadAll();
  Task<Status> Draw();
  Task<Status> Commit(RowBatch batch);
  // Waits until the client sends more. Returns false if the episode is over.
  Task<bool> AwaitInput(uint64_t wakes);
  bool TooManyFailed(bool closed) const {
    return Exceeds(slot_.definition->max_failures(), rows_.progress().failed(), rows_.progress().items_in(), closed);
  }

  StepHost& host_;
  const int stage_;
  StageSlot& slot_;
  StageRows& rows_;
  Event changed_;
  uint64_t wakes_ = 0;
  bool reading_ = true;
  bool waits_ = false;
  std::optional<Rank> last_drawn_;  // for a sample: rows up to this rank are taken
};

Task<bool> FetchStep::AwaitInput(uint64_t wakes) {
  waits_ = true;
  host_.Moved();
  while (wakes == wakes_ && !host_.stopped()) co_await changed_.Wait();
  waits_ = false;
  co_return !host_.stopped();
}

Task<Status> FetchStep::ReadAll() {
  const v1::Run& run = host_.record().run();
  uint64_t wakes = wakes_;
  // The first part shows whether the client sends items or bytes.
  while (slot_.input && slot_.input->state().next_offset() == 0 && !slot_.input->state().closed()) {
    if (const bool woken = co_await AwaitInput(wakes); !woken) co_return absl::OkStatus();
    wakes = wakes_;
  }
  if (run.sample() > 0) {
    MR_CO_RETURN_IF_ERROR(co_await Draw());
    if (host_.stopped()) co_return absl::OkStatus();
  }
  rows_.Begin();
  if (StageTrace* const traces = host_.trace(stage_); traces != nullptr) traces->BeginWork();
  storage::v1::FetchCursor cursor = rows_.record().cursor();
  bool is_first = cursor.rows() == 0;
  auto opened = co_await OpenRows(host_, stage_, std::move(cursor));
  if (host_.stopped()) co_return absl::OkStatus();
  MR_CO_ASSIGN_OR_RETURN(auto source, std::move(opened));
  while (!rows_.record().cursor().done()) {
    if (const bool has_room = co_await host_.AwaitRoom(); !has_room) co_return absl::OkStatus();
    wakes = wakes_;
    MR_CO_ASSIGN_OR_RETURN(RowBatch batch, co_await source->Next());
    if (host_.stopped()) co_return absl::OkStatus();
    if (batch.waits) {
      if (const bool woken = co_await AwaitInput(wakes); !woken) co_return absl::OkStatus();
      continue;
    }
    if (slot_.input && is_first && !batch.rows.empty()) {
      is_first = false;
      MR_CO_RETURN_IF_ERROR(co_await host_.CheckFirstInput(stage_));
    }
    MR_CO_RETURN_IF_ERROR(co_await Commit(std::move(batch)));
    host_.Moved();
    if (TooManyFailed(rows_.record().cursor().done())) {
      co_return MakeError(Reason::kTooManyFailures,
                          fmt::format("{} of {} rows are bad, more than max_failures allows", rows_.progress().failed(),
                                      rows_.progress().items_in()));
    }
    if (host_.stopped()) co_return absl::OkStatus();
  }
  co_return co_await host_.EndStage(stage_);
}

Task<Status> FetchStep::Commit(RowBatch batch) {
  const v1::Run& run = host_.record().run();
  const int64_t first_row = batch.after.rows() - static_cast<int64_t>(batch.rows.size()) + 1;
  EndedGroup group;
  group.check_ids = true;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const int64_t number = first_row + static_cast<int64_t>(i);
    if (run.limit() > 0 && number > run.limit()) break;
    FetchedRow& row = batch.rows[i];
    EndedItem ended;
    ended.ordinal = number;
    ended.input_id = IdOf(row, number);
    if (last_drawn_ && RankOf(ended.input_id, number) > *last_drawn_) continue;
    ended.item = std::move(row.item);
    ended.item.id.clear();
    group.items.push_back(std::move(ended));
  }
  if (run.limit() > 0 && batch.after.rows() >= run.limit()) batch.after.set_done(true);
  group.rows_read = static_cast<int64_t>(group.items.size());
  group.cursor = std::move(batch.after);
  co_return co_await rows_.Commit(std::move(group));
}

// Reads the whole source once to find the rows of lowest rank.
Task<Status> FetchStep::Draw() {
  storage::v1::FetchCursor begin;
  auto opened = co_await OpenRows(host_, stage_, std::move(begin));
  if (host_.stopped()) co_return absl::OkStatus();
  MR_CO_ASSIGN_OR_RETURN(auto source, std::move(opened));
  const size_t size = static_cast<size_t>(host_.record().run().sample());
  std::priority_queue<Rank> drawn;
  bool done = false;
  while (!done) {
    const uint64_t wakes = wakes_;
    MR_CO_ASSIGN_OR_RETURN(RowBatch batch, co_await source->Next());
    if (host_.stopped()) co_return absl::OkStatus();
    if (batch.waits) {
      if (const bool woken = co_await AwaitInput(wakes); !woken) co_return absl::OkStatus();
      continue;
    }
    int64_t number = batch.after.rows() - static_cast<int64_t>(batch.rows.size());
    for (const FetchedRow& row : batch.rows) {
      ++number;
      const Rank rank = RankOf(IdOf(row, number), number);
      if (drawn.size() < size) {
        drawn.push(rank);
      } else if (rank < drawn.top()) {
        drawn.pop();
        drawn.push(rank);
      }
    }
    done = batch.after.done();
  }
  last_drawn_ = drawn.empty() ? Rank{0, 0} : drawn.top();
  co_return absl::OkStatus();
}

}  // namespace

std::unique_ptr<Step> MakeFetchStep(StepHost& host, int stage) { return std::make_unique<FetchStep>(host, stage); }

}  // namespace millrace
