#include "server/storage/writer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "server/base/thread.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Most bytes in a group: enough to share a sync among all waiting batches, small beside a memtable of 8 MiB.
constexpr size_t kGroupBytesMax = size_t{4} << 20;
// Time and bytes written after which the disk's free space is measured again.
constexpr Duration kWatchEvery = 1s;
constexpr size_t kWatchBytes = size_t{4} << 20;
constexpr Duration kBackoffMin = 50ms;
constexpr Duration kBackoffMax = 2s;

Status Unavailable() { return MakeError(Reason::kStoreUnavailable, "the store failed and is being reopened"); }

}  // namespace

Writer::Writer(Database& database, DiskGuard& guard, Durability durability, const Clock& clock,
               std::function<void(Report)> report)
    : database_(database),
      guard_(guard),
      durability_(durability),
      clock_(clock),
      report_(std::move(report)),
      backoff_(kBackoffMin),
      reported_(guard.low() ? StoreState::kDiskLow : StoreState::kOk),
      thread_([this] { Run(); }) {}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  thread_.join();
}

void Writer::Submit(std::vector<Entry> entries) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = queue_.empty();
    std::move(entries.begin(), entries.end(), std::back_inserter(queue_));
  }
  if (first) ready_.notify_one();
}

StoreFigures Writer::Figures() const {
  const std::lock_guard lock(mutex_);
  StoreFigures figures = figures_;
  figures.syncs = syncs_.count();
  figures.sync_p50 = syncs_.Quantile(0.5);
  return figures;
}

bool Writer::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_ && queue_.empty();
}

// Waits for batches and returns those of one epoch, oldest first. Returns none at `until`, or when the writer stops.
std::vector<Writer::Entry> Writer::Take(TimePoint until) {
  std::unique_lock lock(mutex_);
  const Duration wait = std::clamp<Duration>(until - clock_.Now(), Duration(0), kWatchEvery);
  ready_.wait_for(lock, wait, [this] { return stopping_ || !queue_.empty(); });
  std::vector<Entry> group;
  size_t bytes = 0;
  while (!queue_.empty() && bytes < kGroupBytesMax) {
    if (!group.empty() && queue_.front().epoch != group.front().epoch) break;
    bytes += queue_.front().batch.bytes();
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

void Writer::Run() {
  NameThread("writer");
  while (!stopping()) {
    std::vector<Entry> group = Take(std::min({sync_at_, watch_at_, recover_at_}));
    if (!group.empty()) WriteGroup(std::move(group));
    const TimePoint now = clock_.Now();
    if (now >= sync_at_) SyncLog();
    if (now >= watch_at_) Watch();
    if (now >= recover_at_) Recover();
  }
}

void Writer::WriteGroup(std::vector<Entry> group) {
  const size_t count = group.size();
  if (trouble_ == Trouble::kBroken || group.front().epoch < epoch_) {
    report_({.finished = count, .status = Unavailable(), .state = State(), .epoch = epoch_});
    return;
  }
  const bool durable =
      std::any_of(group.begin(), group.end(), [](const Entry& entry) { return entry.mode == CommitMode::kDurable; });
  std::vector<WriteBatch> batches;
  batches.reserve(count);
  for (Entry& entry : group) {
    unwatched_bytes_ += entry.batch.bytes();
    batches.push_back(std::move(entry.batch));
  }
  if (unwatched_bytes_ >= kWatchBytes) watch_at_ = TimePoint{};

  const bool sync = durable && durability_.mode == Durability::Mode::kSync;
  const TimePoint begun = clock_.Now();
  if (const Status status = database_.Write(batches, sync ? Database::Sync::kYes : Database::Sync::kNo); !status.ok()) {
    Fall(Trouble::kBroken, status, count);
    return;
  }
  const TimePoint ended = clock_.Now();
  {
    const std::lock_guard lock(mutex_);
    ++figures_.commits;
    figures_.batches += count;
    if (sync) syncs_.Add(ended - begun);
  }
  if (trouble_ == Trouble::kNone) backoff_ = kBackoffMin;
  if (durability_.mode == Durability::Mode::kInterval && sync_at_ == kNever) sync_at_ = ended + durability_.interval;
  report_({.finished = count, .status = absl::OkStatus(), .state = State(), .epoch = epoch_});
}

void Writer::SyncLog() {
  sync_at_ = kNever;
  if (trouble_ == Trouble::kBroken) return;
  const TimePoint begun = clock_.Now();
  if (const Status status = database_.SyncLog(); !status.ok()) {
    Fall(Trouble::kBroken, status, 0);
    return;
  }
  const std::lock_guard lock(mutex_);
  syncs_.Add(clock_.Now() - begun);
}

void Writer::Watch() {
  const bool was_low = guard_.low();
  guard_.Measure();
  watch_at_ = clock_.Now() + kWatchEvery;
  unwatched_bytes_ = 0;
  if (guard_.low() != was_low) {
    if (guard_.low()) {
      spdlog::warn("store: {} bytes are free on its disk, less than the reserve of {}; no new work begins",
                   guard_.free_bytes(), guard_.reserve());
    } else {
      spdlog::info("store: its disk has room again");
    }
  }
  if (trouble_ == Trouble::kNone) {
    if (const Status status = database_.BackgroundStatus(); !status.ok()) Fall(Trouble::kPoorly, status, 0);
  }
  if (State() != reported_) {
    reported_ = State();
    report_({.finished = 0, .status = absl::OkStatus(), .state = reported_, .epoch = epoch_});
  }
}

// Records trouble and schedules a reopening. If the database accepts no writes, reports the `finished` batches as
// failed, and begins an epoch in which batches of earlier ones fail.
void Writer::Fall(Trouble trouble, const Status& error, size_t finished) {
  spdlog::error("store: {}", MessageOf(error));
  trouble_ = trouble;
  full_ = ReasonOf(error) == Reason::kDiskLow;
  recover_at_ = clock_.Now() + backoff_;
  backoff_ = std::min(2 * backoff_, kBackoffMax);
  if (trouble != Trouble::kBroken) return;
  sync_at_ = kNever;  // a failed sync must not be retried; the reopening syncs the records that it replays
  ++epoch_;
  reported_ = State();
  report_({.finished = finished, .status = Unavailable(), .state = reported_, .epoch = epoch_});
}

void Writer::Recover() {
  recover_at_ = kNever;
  guard_.Measure();
  if (full_ && !guard_.HasRoomToReopen()) {
    // The database stays open for reads meanwhile.
    recover_at_ = clock_.Now() + kWatchEvery;
    return;
  }
  if (const Status status = database_.Reopen(); !status.ok()) {
    if (ReasonOf(status) == Reason::kStoreCorrupt) full_ = false;
    Fall(Trouble::kBroken, status, 0);
    return;
  }
  spdlog::info("store: reopened");
  trouble_ = Trouble::kNone;
  full_ = false;
  sync_at_ = kNever;
  reported_ = State();
  report_({.finished = 0, .status = absl::OkStatus(), .state = reported_, .epoch = epoch_});
}

StoreState Writer::State() const {
  if (trouble_ == Trouble::kBroken) return StoreState::kReopening;
  return guard_.low() ? StoreState::kDiskLow : StoreState::kOk;
}

}  // namespace millrace
