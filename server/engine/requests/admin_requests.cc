#include "server/engine/requests/admin_requests.h"

#include <optional>
#include <utility>
#include <vector>

#include "server/base/duration.h"
#include "server/engine/times.h"
#include "server/storage/keys.h"
#include "server/storage/memos.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

struct EvictedMemos {
  WriteBatch batch;
  int64_t count = 0;
};

EvictedMemos ChooseMemos(const std::vector<StoreEntry>& entries, int64_t before_micros) {
  EvictedMemos evicted;
  for (const StoreEntry& entry : entries) {
    storage::v1::MemoRecord memo;
    const bool damaged = !DecodeValue(entry.key, entry.value, memo).ok();
    if (!damaged && memo.time_micros() >= before_micros) continue;
    ++evicted.count;
    evicted.batch.Delete(entry.key);
    const std::optional<Digest> key = KeyReader(entry.key).Key();
    // A damaged memo of a barrier does not say how many further records it has: they are overwritten when the list is
    // computed again.
    for (int64_t part = 0; key && part < memo.further_records(); ++part) {
      evicted.batch.Delete(MemoPartKey(*key, part));
    }
  }
  return evicted;
}

const char* NameOf(StoreState state) {
  switch (state) {
    case StoreState::kOk:
      return "ok";
    case StoreState::kDiskLow:
      return "disk_low";
    case StoreState::kReopening:
      return "reopening";
  }
  return "";
}

}  // namespace

Task<StatusOr<v1::GetStatusResponse>> AdminRequests::GetStatus(RequestContext, v1::GetStatusRequest) {
  v1::GetStatusResponse response;
  response.set_version(options_.version);
  response.set_pid(options_.pid);
  *response.mutable_start_time() = ToTimestamp(start_micros_);
  response.set_data_dir(options_.data_dir);
  response.set_durability(options_.durability);
  response.set_store(NameOf(deps_.store.state()));
  const StoreFigures store = deps_.store.Figures();
  response.set_disk_free_bytes(store.disk_free_bytes);
  response.set_disk_reserve_bytes(store.disk_reserve_bytes);
  response.set_commits(static_cast<int64_t>(store.commits));
  if (store.syncs > 0) *response.mutable_fsync_p50() = FromDuration(store.sync_p50);
  response.set_active_runs(runs_.CountOpen());
  response.set_calls_waiting(deps_.traffic.waiting());
  response.set_attempts_in_flight(deps_.traffic.in_flight());
  const LoopFigures loop = deps_.loop.Figures();
  *response.mutable_loop_lag_p50() = FromDuration(loop.lag_p50);
  *response.mutable_loop_lag_p999() = FromDuration(loop.lag_p999);
  *response.mutable_handler_cpu_p999() = FromDuration(loop.handler_cpu_p999);
  response.set_draining(gate_.draining());
  if (deps_.tracer != nullptr) {
    const trace::Figures figures = deps_.tracer->figures();
    v1::TraceStats& traces = *response.mutable_traces();
    traces.set_exported(figures.exported);
    traces.set_dropped(figures.dropped);
    traces.set_waiting(figures.waiting);
  }
  co_return response;
}

Task<StatusOr<v1::ListBackendsResponse>> AdminRequests::ListBackends(RequestContext, v1::ListBackendsRequest request) {
  co_return co_await deps_.models.Backends(std::move(request));
}

Task<StatusOr<v1::ListModelsResponse>> AdminRequests::ListModels(RequestContext, v1::ListModelsRequest) {
  co_return deps_.models.Models();
}

Task<StatusOr<v1::GetCacheStatsResponse>> AdminRequests::GetCacheStats(RequestContext, v1::GetCacheStatsRequest) {
  v1::GetCacheStatsResponse response;
  MR_CO_ASSIGN_OR_RETURN(*response.mutable_answers(), co_await deps_.answers.AnswerStats());
  auto [begin, end] = MemoKeys();
  MR_CO_ASSIGN_OR_RETURN(const Store::Size size, co_await deps_.store.EstimateSize(std::move(begin), std::move(end)));
  v1::CacheStats& memos = *response.mutable_memos();
  memos.set_entries(size.entries);
  memos.set_bytes(size.bytes);
  memos.set_hits(runs_.memo_figures().hits);
  memos.set_misses(runs_.memo_figures().misses);
  memos.set_corrupt(runs_.memo_figures().corrupt);
  co_return response;
}

Task<StatusOr<v1::EvictCacheResponse>> AdminRequests::EvictCache(RequestContext, v1::EvictCacheRequest request) {
  v1::EvictCacheResponse response;
  std::optional<Duration> older_than;
  if (request.has_older_than()) {
    older_than = ToDuration(request.older_than());
    if (*older_than < Duration(0)) {
      co_return MakeFieldError(Reason::kInvalidField, "older_than is negative", {{"older_than", "at least 0"}});
    }
  }
  std::function<bool(const std::string&)> in_use = [this](const std::string& run) { return runs_.IsOpen(run); };
  MR_CO_ASSIGN_OR_RETURN(const int64_t answers,
                         co_await deps_.answers.EvictAnswers(older_than, request.target(), std::move(in_use)));
  response.set_answers(answers);
  // A memo does not say which target gave its answers: if only one target's answers are evicted, memos stay.
  if (request.keep_memos() || !request.target().empty()) co_return response;
  const int64_t before_micros = older_than ? deps_.loop.clock().WallMicros() - older_than->count() / 1000 : INT64_MAX;
  MR_CO_ASSIGN_OR_RETURN(const int64_t memos, co_await EvictMemos(before_micros));
  response.set_memos(memos);
  co_return response;
}

Task<StatusOr<int64_t>> AdminRequests::EvictMemos(int64_t before_micros) {
  int64_t count = 0;
  auto [begin, end] = MemoKeys();
  while (!begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await deps_.store.Scan(std::move(begin), end, 1000, 1 << 20));
    begin = std::move(page.next);
    auto choose = [entries = std::move(page.entries), before_micros] { return ChooseMemos(entries, before_micros); };
    EvictedMemos evicted = co_await Compute(deps_.loop, deps_.pool, std::move(choose));
    if (evicted.batch.empty()) continue;
    MR_CO_RETURN_IF_ERROR(co_await deps_.store.Commit(std::move(evicted.batch), CommitMode::kReadable));
    count += evicted.count;
  }
  co_return count;
}

}  // namespace millrace
