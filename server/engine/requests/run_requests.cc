#include "server/engine/requests/run_requests.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "server/engine/requests/explain.h"
#include "server/engine/requests/page_token.h"
#include "server/engine/stage_counts.h"
#include "server/engine/times.h"
#include "server/storage/answers.h"
#include "server/storage/items.h"
#include "server/storage/ledger.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"
#include "server/storage/taken_over.h"
#include "server/trace/names.h"

namespace millrace {
namespace {

// Run records that are read and decoded together. Each holds its run's definition, which may be large.
constexpr size_t kRunsAtOnce = 32;
constexpr size_t kEventsPerPage = 100;
// How often a wait for an unloadable run looks whether it was loaded.
constexpr Duration kUnloadableLook = std::chrono::seconds(1);
// Longest wait that a request may ask for: far beyond any real one, and far below the last point in time.
constexpr Duration kWaitMax = std::chrono::hours(24 * 365);

// Waits until the run has ended or is paused and what was in flight then is counted, or until the deadline, or until
// the client has left.
Task<void> AwaitRest(std::shared_ptr<ActiveRun> run, RequestContext context) {
  std::optional<StopSignal::Watch> watch;
  if (context.left) watch.emplace(*context.left, [&run] { run->changed().NotifyAll(); });
  run->Follow();
  while (run->working() || (!IsEnded(run->recorded_state()) && run->recorded_state() != v1::RUN_STATE_PAUSED)) {
    if (context.left && context.left->stopped()) co_return;
    const bool changed = co_await run->changed().WaitUntil(context.deadline);
    if (!changed) co_return;
  }
}

RequestContext WaitingAtMost(const google::protobuf::Duration& wait, RequestContext context, TimePoint now) {
  context.deadline = std::min(context.deadline, now + std::clamp(ToDuration(wait), Duration(0), kWaitMax));
  return context;
}

// Decodes records of runs; nullopt for those that are absent.
StatusOr<std::vector<std::optional<v1::Run>>> DecodeRuns(const std::vector<std::string>& keys,
                                                         const std::vector<std::optional<std::string>>& values) {
  std::vector<std::optional<v1::Run>> runs(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!values[i]) continue;
    storage::v1::RunRecord record;
    MR_RETURN_IF_ERROR(DecodeValue(keys[i], *values[i], record));
    runs[i] = std::move(*record.mutable_run());
  }
  return runs;
}

bool Matches(const v1::Run& run, const v1::ListRunsRequest& request) {
  if (!request.pipeline().empty() && run.pipeline() != request.pipeline()) return false;
  return request.states().empty() ||
         std::find(request.states().begin(), request.states().end(), run.state()) != request.states().end();
}

}  // namespace

Task<StatusOr<v1::CreateRunResponse>> RunRequests::CreateRun(RequestContext context, v1::CreateRunRequest request) {
  const bool waits = request.has_wait();
  if (waits) context = WaitingAtMost(request.wait(), std::move(context), deps_.loop.Now());
  MR_CO_ASSIGN_OR_RETURN(v1::CreateRunResponse response, co_await creator_.Create(std::move(request), context.left));
  const std::string name = response.run().name();
  if (name.empty()) co_return response;  // only validated
  if (const std::shared_ptr<ActiveRun> run = runs_.FindActive(name); run && context.trace) {
    trace::Span creating(context.trace, "create run", trace::SpanKind::kInternal, response.run().pipeline());
    creating.Set(trace::kRun, name);
    run->LinkWith(creating);
  }
  if (const std::shared_ptr<ActiveRun> run = runs_.FindActive(name); run && waits) {
    co_await AwaitRest(run, std::move(context));
  }
  // The run exists even if it can't be read now.
  StatusOr<FoundRun> found = co_await runs_.Find(name);
  if (found.ok()) *response.mutable_run() = std::move(found->run);
  co_return response;
}

Task<StatusOr<v1::GetRunResponse>> RunRequests::GetRun(RequestContext, v1::GetRunRequest request) {
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await runs_.Find(request.run()));
  v1::GetRunResponse response;
  *response.mutable_run() = std::move(found.run);
  co_return response;
}

Task<StatusOr<v1::ListRunsResponse>> RunRequests::ListRuns(RequestContext, v1::ListRunsRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const size_t size, PageSize(request.page_size(), 50));
  std::string query = "runs/" + request.pipeline();
  for (const int wanted : request.states()) query += fmt::format("/{}", wanted);
  MR_CO_ASSIGN_OR_RETURN(std::string position, ReadPageToken(query, request.page_token()));
  auto [begin, end] = RunOrderKeys();
  if (!position.empty()) end = std::move(position);
  v1::ListRunsResponse response;
  std::string last;
  while (!end.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await deps_.store.Scan(begin, std::move(end), std::min(size, kRunsAtOnce),
                                                                    1 << 20, Store::Direction::kBackwards));
    std::vector<std::string> keys;
    std::vector<std::string> names;
    for (const StoreEntry& entry : page.entries) {
      const std::optional<RunOrder> order = ReadRunOrderKey(entry.key);
      names.push_back(order ? order->run : "");
      keys.push_back(RunKey(names.back()));
    }
    MR_CO_ASSIGN_OR_RETURN(auto values, co_await deps_.store.MultiGet(keys));
    auto decode = [keys, values = std::move(values)] { return DecodeRuns(keys, values); };
    MR_CO_ASSIGN_OR_RETURN(auto runs, co_await Compute(deps_.loop, deps_.pool, std::move(decode)));
    for (size_t i = 0; i < runs.size(); ++i) {
      if (!runs[i]) continue;
      const std::shared_ptr<ActiveRun> active = runs_.FindActive(names[i]);
      v1::Run run = active ? active->Snapshot() : *std::move(runs[i]);
      if (!active) {
        MR_CO_ASSIGN_OR_RETURN(const TakenOver taken, co_await LoadTakenOver(deps_.store, names[i]));
        AddTakenOver(taken, run);
        runs_.ShowWait(run);
      }
      if (!Matches(run, request)) continue;
      if (static_cast<size_t>(response.runs_size()) == size) {
        response.set_next_page_token(MakePageToken(query, last));
        co_return response;
      }
      *response.add_runs() = std::move(run);
      last = page.entries[i].key;
    }
    end = std::move(page.next);
  }
  co_return response;
}

Task<StatusOr<v1::WaitRunResponse>> RunRequests::WaitRun(RequestContext context, v1::WaitRunRequest request) {
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await runs_.Find(request.run()));
  if (request.has_timeout()) context = WaitingAtMost(request.timeout(), std::move(context), deps_.loop.Now());
  // It waits for the configuration: another process may change it, or a request may load it.
  while (!found.active && runs_.IsUnloadable(request.run()) && found.run.state() == v1::RUN_STATE_RUNNING) {
    const Duration left = context.deadline - deps_.loop.Now();
    if (left <= Duration(0) || (context.left && context.left->stopped())) break;
    co_await deps_.loop.Sleep(std::min(left, kUnloadableLook));
    MR_CO_ASSIGN_OR_RETURN(found, co_await runs_.Find(request.run()));
  }
  if (found.active) {
    co_await AwaitRest(found.active, std::move(context));
    found.run = found.active->Snapshot();
  }
  v1::WaitRunResponse response;
  *response.mutable_run() = std::move(found.run);
  co_return response;
}

Task<StatusOr<v1::PauseRunResponse>> RunRequests::PauseRun(RequestContext, v1::PauseRunRequest request) {
  v1::PauseRunResponse response;
  MR_CO_ASSIGN_OR_RETURN(*response.mutable_run(),
                         co_await Change(request.run(), &ActiveRun::Pause, v1::RUN_STATE_UNSPECIFIED));
  co_return response;
}

Task<StatusOr<v1::ResumeRunResponse>> RunRequests::ResumeRun(RequestContext, v1::ResumeRunRequest request) {
  v1::ResumeRunResponse response;
  MR_CO_ASSIGN_OR_RETURN(*response.mutable_run(),
                         co_await Change(request.run(), &ActiveRun::Resume, v1::RUN_STATE_UNSPECIFIED));
  co_return response;
}

Task<StatusOr<v1::CancelRunResponse>> RunRequests::CancelRun(RequestContext, v1::CancelRunRequest request) {
  v1::CancelRunResponse response;
  MR_CO_ASSIGN_OR_RETURN(*response.mutable_run(),
                         co_await Change(request.run(), &ActiveRun::Cancel, v1::RUN_STATE_CANCELLED));
  co_return response;
}

Task<StatusOr<v1::Run>> RunRequests::Change(std::string name, Task<Status> (ActiveRun::*change)(),
                                            v1::RunState done_in) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckStore());
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await runs_.Find(name));
  if (runs_.IsUnloadable(name)) {
    if (change == &ActiveRun::Pause) co_return co_await runs_.PauseUnloadable(std::move(name));
    const Runs::IfUnloadable otherwise =
        done_in == v1::RUN_STATE_CANCELLED ? Runs::IfUnloadable::kCancel : Runs::IfUnloadable::kFail;
    MR_CO_ASSIGN_OR_RETURN(found, co_await runs_.FindLoaded(name, otherwise));
  }
  if (!found.active) {
    if (found.run.state() == done_in) co_return found.run;
    co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has ended", found.run.name()));
  }
  const std::shared_ptr<ActiveRun> run = found.active;
  MR_CO_RETURN_IF_ERROR(co_await ((*run).*change)());
  co_return run->Snapshot();
}

Task<StatusOr<v1::RedriveRunResponse>> RunRequests::RedriveRun(RequestContext, v1::RedriveRunRequest request) {
  MR_CO_RETURN_IF_ERROR(gate_.CheckNewWork());
  const std::string name = request.run();
  const NamedMutex::Holder holder = co_await runs_.Lock(name);
  MR_CO_ASSIGN_OR_RETURN(FoundRun found, co_await runs_.Find(name));
  if (found.active && IsEnded(found.active->state())) {
    // Its last calls are being stored.
    while (found.active->working()) co_await found.active->changed().Wait();
    MR_CO_ASSIGN_OR_RETURN(found, co_await runs_.Find(name));
  }
  if (!IsEnded(found.run.state())) {
    co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has not ended", name));
  }
  MR_CO_ASSIGN_OR_RETURN(const std::shared_ptr<ActiveRun> run, co_await runs_.Load(std::move(found.record)));
  StatusOr<int64_t> redriven = co_await run->Redrive(std::move(request));
  if (!redriven.ok() || !run->working()) runs_.Unload(name);
  MR_CO_ASSIGN_OR_RETURN(const int64_t items, std::move(redriven));
  v1::RedriveRunResponse response;
  response.set_items(items);
  *response.mutable_run() = run->Snapshot();
  co_return response;
}

Task<StatusOr<v1::DeleteRunResponse>> RunRequests::DeleteRun(RequestContext, v1::DeleteRunRequest request) {
  const std::string name = request.run();
  const NamedMutex::Holder holder = co_await runs_.Lock(name);
  MR_CO_ASSIGN_OR_RETURN(const FoundRun found, co_await runs_.Find(name));
  if (!IsEnded(found.run.state())) {
    co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has not ended", name));
  }
  while (found.active && found.active->working()) co_await found.active->changed().Wait();
  MR_CO_RETURN_IF_ERROR(co_await DeleteSettledOf(deps_.store, name));
  WriteBatch batch;
  DeleteRunKeys(batch, name);
  batch.Delete(RunOrderKey(ToMicros(found.run.create_time()), name));
  if (!found.run.request_id().empty()) batch.Delete(RequestKey(found.run.request_id()));
  const bool has_parked = std::any_of(found.run.stages().begin(), found.run.stages().end(),
                                      [](const v1::StageProgress& stage) { return stage.parked() > 0; });
  auto [begin, end] = ParkedKeys();
  while (has_parked && !begin.empty()) {
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await deps_.store.Scan(std::move(begin), end));
    for (const StoreEntry& entry : page.entries) {
      const std::optional<ParkedItem> item = ReadParkedKey(entry.key);
      if (item && item->run == name) batch.Delete(entry.key);
    }
    begin = std::move(page.next);
  }
  MR_CO_RETURN_IF_ERROR(co_await deps_.store.Commit(std::move(batch)));
  co_return v1::DeleteRunResponse();
}

Task<StatusOr<v1::ListItemsResponse>> RunRequests::ListItems(RequestContext, v1::ListItemsRequest request) {
  return items_.List(std::move(request));
}

Task<StatusOr<RunsApi::ItemPage>> RunRequests::NextItems(RequestContext context, v1::StreamItemsRequest request) {
  return items_.Next(std::move(context), std::move(request));
}

Task<StatusOr<v1::AddItemsResponse>> RunRequests::AddItems(RequestContext, v1::AddItemsRequest request) {
  return inputs_.Add(std::move(request));
}

Task<StatusOr<v1::CloseInputResponse>> RunRequests::CloseInput(RequestContext, v1::CloseInputRequest request) {
  return inputs_.Close(std::move(request));
}

Task<StatusOr<v1::ExplainItemResponse>> RunRequests::ExplainItem(RequestContext, v1::ExplainItemRequest request) {
  return millrace::ExplainItem(deps_.store, runs_, std::move(request));
}

Task<StatusOr<v1::ListAttemptsResponse>> RunRequests::ListAttempts(RequestContext, v1::ListAttemptsRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const size_t size, PageSize(request.page_size(), 100));
  MR_CO_RETURN_IF_ERROR((co_await runs_.Find(request.run())).status());
  const std::string query = "attempts/" + request.run();
  MR_CO_ASSIGN_OR_RETURN(std::string position, ReadPageToken(query, request.page_token()));
  MR_CO_ASSIGN_OR_RETURN(AttemptPage page,
                         co_await LoadAttempts(deps_.store, request.run(), std::move(position), size));
  v1::ListAttemptsResponse response;
  for (v1::Attempt& attempt : page.attempts) *response.add_attempts() = std::move(attempt);
  if (!page.next.empty()) response.set_next_page_token(MakePageToken(query, page.next));
  co_return response;
}

Task<StatusOr<RunsApi::EventPage>> RunRequests::NextEvents(RequestContext context, v1::WatchRunRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const FoundRun found, co_await runs_.Find(request.run()));
  const std::shared_ptr<ActiveRun> active = found.active;
  if (active) active->Follow();
  while (true) {
    const bool is_unloadable = !active && runs_.IsUnloadable(request.run());
    const bool ended = active ? IsEnded(active->recorded_state()) : !is_unloadable;
    const int64_t newest = active ? active->last_event() : 0;
    auto [begin, end] = EventKeys(request.run(), request.after() + 1);
    MR_CO_ASSIGN_OR_RETURN(const ScanPage scanned,
                           co_await deps_.store.Scan(std::move(begin), std::move(end), kEventsPerPage, 1 << 20));
    EventPage page;
    for (const StoreEntry& entry : scanned.entries) {
      v1::RunEvent event;
      MR_CO_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, event));
      // An event that is committed but not counted yet comes with the next page, when it is as durable as promised.
      if (active && event.number() > active->last_event()) break;
      page.events.push_back(std::move(event));
    }
    if (!page.events.empty()) co_return page;
    if (ended) {
      page.end = true;
      co_return page;
    }
    if (is_unloadable) {
      co_await deps_.loop.Sleep(std::clamp(context.deadline - deps_.loop.Now(), Duration(0), kUnloadableLook));
      co_return page;
    }
    if (active->last_event() != newest || IsEnded(active->recorded_state())) continue;
    const bool changed = co_await active->changed().WaitUntil(context.deadline);
    if (!changed) co_return page;
  }
}

}  // namespace millrace
