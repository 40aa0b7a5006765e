// Items and attempts of runs, listed and streamed; events; inputs of clients.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "server/engine/engine_state.h"
#include "server/engine/requests/item_view.h"
#include "server/engine/requests/page_token.h"
#include "server/engine/run/stage_counts.h"
#include "server/engine/step/client_input.h"
#include "server/storage/inputs.h"
#include "server/storage/items.h"
#include "server/storage/ledger.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr size_t kPageBytes = 2 << 20;
constexpr size_t kStreamItems = 100;
constexpr size_t kEvents = 100;

// The stage of a run that a request reads, and where it is.
struct FoundStage {
  FoundRun run;
  int index = 0;
  std::string name;
  StageShape shape = StageShape::kItems;
};

Task<StatusOr<FoundStage>> FindStage(Engine::State& state, std::string run, std::string stage) {
  FoundStage found;
  StatusOr<FoundRun> found_run = co_await state.Find(std::move(run));
  if (!found_run.ok()) co_return found_run.status();
  found.run = *std::move(found_run);
  StatusOr<Plan> plan = found.run.MakePlan();
  if (!plan.ok()) co_return plan.status();
  found.index = stage.empty() ? plan->Result() : plan->Find(stage);
  if (found.index < 0) {
    co_return MakeError(Reason::kStageNotFound, fmt::format("the run has no stage `{}`", Excerpt(stage)));
  }
  found.name = plan->stage(found.index).name;
  found.shape = plan->stage(found.index).shape;
  co_return found;
}

Task<StatusOr<bool>> IsReadableNow(Engine::State& state, const FoundStage& stage) {
  if (stage.run.active) co_return IsReadable(stage.shape, stage.run.active->slot(stage.index).rows->record());
  auto record =
      co_await GetRecord<storage::v1::StageRecord>(state.parts.store, StageKey(stage.run.run.name(), stage.name));
  if (!record.ok()) co_return record.status();
  co_return IsReadable(stage.shape, record->value_or(storage::v1::StageRecord()));
}

}  // namespace

Task<StatusOr<v1::ListItemsResponse>> Engine::ListItems(v1::ListItemsRequest request) {
  State& state = *state_;
  StatusOr<size_t> size = PageSize(request.page_size(), 100);
  if (!size.ok()) co_return size.status();
  StatusOr<FoundStage> stage = co_await FindStage(state, request.run(), request.stage());
  if (!stage.ok()) co_return stage.status();
  std::string query = "items/" + request.run() + "/" + stage->name;
  for (const int wanted : request.states()) query += fmt::format("/{}", wanted);
  StatusOr<std::string> position = ReadPageToken(query, request.page_token());
  if (!position.ok()) co_return position.status();
  StatusOr<bool> readable = co_await IsReadableNow(state, *stage);
  if (!readable.ok()) co_return readable.status();
  v1::ListItemsResponse response;
  if (!*readable) co_return response;
  auto [begin, end] = ItemKeys(request.run(), stage->name).Items();
  if (!position->empty()) begin = *std::move(position);
  size_t bytes = 0;
  while (!begin.empty()) {
    const size_t left = *size - static_cast<size_t>(response.items_size());
    auto page = co_await state.parts.store.Scan(std::move(begin), end, left, kPageBytes);
    if (!page.ok()) co_return page.status();
    begin = std::move(page->next);
    struct Read {
      Status status;
      std::vector<v1::Item> items;
      std::string cut_at;  // the page is full before this key
    };
    const std::vector<int> states(request.states().begin(), request.states().end());
    auto read = [entries = std::move(page->entries), states, name = stage->name, structs = request.structs(),
                 bytes]() mutable {
      Read result;
      for (StoreEntry& entry : entries) {
        storage::v1::ItemRecord record;
        result.status = DecodeValue(entry.key, entry.value, record);
        if (!result.status.ok()) return result;
        if (!states.empty() && std::find(states.begin(), states.end(), record.state()) == states.end()) continue;
        const size_t item_bytes = record.json().size() + 200;
        if (bytes > 0 && bytes + item_bytes > kPageBytes) {
          result.cut_at = std::move(entry.key);
          return result;
        }
        bytes += item_bytes;
        result.items.push_back(ItemView(std::move(record), LastNumberOf(entry.key), name, structs));
      }
      return result;
    };
    Read result = co_await Compute(state.parts.loop, state.parts.pool, std::move(read));
    if (!result.status.ok()) co_return result.status;
    for (v1::Item& item : result.items) {
      bytes += item.json().size() + 200;
      *response.add_items() = std::move(item);
    }
    if (!result.cut_at.empty()) begin = std::move(result.cut_at);
    if (static_cast<size_t>(response.items_size()) >= *size || bytes >= kPageBytes || !result.cut_at.empty()) break;
  }
  if (!begin.empty()) response.set_next_page_token(MakePageToken(query, begin));
  co_return response;
}

// Who waits for a run that was set aside looks again now and then.
static Task<void> LookAgain(Loop& loop, TimePoint deadline) {
  co_await loop.Sleep(std::clamp(deadline - loop.Now(), Duration(0), Duration(std::chrono::seconds(1))));
}

Task<StatusOr<Service::ItemPage>> Engine::NextItems(v1::StreamItemsRequest request, TimePoint deadline) {
  State& state = *state_;
  StatusOr<FoundStage> stage = co_await FindStage(state, request.run(), request.stage());
  if (!stage.ok()) co_return stage.status();
  const std::string query = "stream/" + request.run() + "/" + stage->name;
  StatusOr<std::string> position = ReadPageToken(query, request.resume_token());
  if (!position.ok()) co_return position.status();
  int64_t after = 0;
  for (const char c : *position) after = after * 10 + (c - '0');
  if (stage->run.active && request.follow()) stage->run.active->Follow();
  const ItemKeys keys(request.run(), stage->name);
  while (true) {
    const std::shared_ptr<ActiveRun>& active = stage->run.active;
    const bool is_set_aside = !active && state.set_aside.contains(request.run());
    const bool ended = active ? IsEnded(active->recorded_state()) && !active->working() : !is_set_aside;
    StatusOr<bool> readable = co_await IsReadableNow(state, *stage);
    if (!readable.ok()) co_return readable.status();
    const int64_t newest = active ? active->slot(stage->index).rows->delivered() : INT64_MAX;
    ItemPage page;
    if (*readable) {
      auto [begin, end] = keys.Commits(after + 1);
      auto commits = co_await state.parts.store.Scan(std::move(begin), std::move(end), kStreamItems, 1 << 20);
      if (!commits.ok()) co_return commits.status();
      std::vector<std::string> item_keys;
      std::vector<int64_t> numbers;
      for (const StoreEntry& entry : commits->entries) {
        const std::optional<int64_t> ordinal = DecodeOrdinal(entry.key, entry.value);
        if (!ordinal) continue;
        item_keys.push_back(keys.Item(*ordinal));
        numbers.push_back(LastNumberOf(entry.key));
      }
      auto values = co_await state.parts.store.MultiGet(item_keys);
      if (!values.ok()) co_return values.status();
      struct Read {
        Status status;
        std::vector<v1::StreamItemsResponse> items;
      };
      auto read = [item_keys = std::move(item_keys), numbers = std::move(numbers), values = *std::move(values), query,
                   name = stage->name, structs = request.structs()] {
        Read result;
        for (size_t i = 0; i < item_keys.size(); ++i) {
          if (!values[i]) continue;
          storage::v1::ItemRecord record;
          result.status = DecodeValue(item_keys[i], *values[i], record);
          if (!result.status.ok()) return result;
          if (record.commit() != numbers[i]) continue;  // it was made again since
          v1::StreamItemsResponse response;
          response.set_resume_token(MakePageToken(query, fmt::format("{}", numbers[i])));
          *response.mutable_item() = ItemView(std::move(record), LastNumberOf(item_keys[i]), name, structs);
          result.items.push_back(std::move(response));
        }
        return result;
      };
      Read result = co_await Compute(state.parts.loop, state.parts.pool, std::move(read));
      if (!result.status.ok()) co_return result.status;
      page.items = std::move(result.items);
    }
    if (!page.items.empty()) co_return page;
    if (!request.follow() || ended) {
      page.end = true;
      co_return page;
    }
    if (is_set_aside) {
      co_await LookAgain(state.parts.loop, deadline);
      co_return page;
    }
    StageRows& rows = *active->slot(stage->index).rows;
    const bool now_ended = IsEnded(active->recorded_state()) && !active->working();
    if (rows.delivered() != newest || IsReadable(stage->shape, rows.record()) != *readable || now_ended != ended)
      continue;
    // The end of the run is seen by its stages' last move, or by looking again.
    const TimePoint look_again = state.parts.loop.Now() + std::chrono::seconds(1);
    if (const bool held = co_await rows.moved().WaitUntil(std::min(deadline, look_again));
        !held && state.parts.loop.Now() >= deadline) {
      co_return page;
    }
  }
}

Task<StatusOr<Service::EventPage>> Engine::NextEvents(v1::WatchRunRequest request, TimePoint deadline) {
  State& state = *state_;
  StatusOr<FoundRun> found = co_await state.Find(request.run());
  if (!found.ok()) co_return found.status();
  const std::shared_ptr<ActiveRun> active = found->active;
  if (active) active->Follow();
  while (true) {
    const bool is_set_aside = !active && state.set_aside.contains(request.run());
    const bool ended = active ? IsEnded(active->recorded_state()) : !is_set_aside;
    const int64_t newest = active ? active->last_event() : 0;
    auto [begin, end] = EventKeys(request.run(), request.after() + 1);
    auto scanned = co_await state.parts.store.Scan(std::move(begin), std::move(end), kEvents, 1 << 20);
    if (!scanned.ok()) co_return scanned.status();
    EventPage page;
    for (const StoreEntry& entry : scanned->entries) {
      v1::RunEvent event;
      MR_CO_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, event));
      // One that is committed but not yet counted comes with the next page, when it is as durable as is promised.
      if (active && event.number() > active->last_event()) break;
      page.events.push_back(std::move(event));
    }
    if (!page.events.empty()) co_return page;
    if (ended) {
      page.end = true;
      co_return page;
    }
    if (is_set_aside) {
      co_await LookAgain(state.parts.loop, deadline);
      co_return page;
    }
    if (active->last_event() != newest || IsEnded(active->recorded_state())) continue;
    if (const bool held = co_await active->changed().WaitUntil(deadline); !held) co_return page;
  }
}

Task<StatusOr<v1::ListAttemptsResponse>> Engine::ListAttempts(v1::ListAttemptsRequest request) {
  State& state = *state_;
  StatusOr<size_t> size = PageSize(request.page_size(), 100);
  if (!size.ok()) co_return size.status();
  StatusOr<FoundRun> found = co_await state.Find(request.run());
  if (!found.ok()) co_return found.status();
  const std::string query = "attempts/" + request.run();
  StatusOr<std::string> position = ReadPageToken(query, request.page_token());
  if (!position.ok()) co_return position.status();
  StatusOr<AttemptPage> page = co_await LoadAttempts(state.parts.store, request.run(), *std::move(position), *size);
  if (!page.ok()) co_return page.status();
  v1::ListAttemptsResponse response;
  for (storage::v1::AttemptRecord& attempt : page->attempts) {
    *response.add_attempts() = std::move(*attempt.mutable_attempt());
  }
  if (!page->next.empty()) response.set_next_page_token(MakePageToken(query, page->next));
  co_return response;
}

static Status SeveralInputs() {
  return MakeFieldError(Reason::kInvalidField, "stage: the run has several inputs", {{"stage", "one of them"}});
}

// The fetch that a request names, or the only one that takes a client's input.
static StatusOr<int> FindInput(ActiveRun& run, const std::string& stage) {
  int found = -1;
  for (int i = 0; i < run.plan().size(); ++i) {
    if (!stage.empty() ? run.plan().stage(i).name == stage : run.slot(i).input != nullptr) {
      if (found >= 0) {
        return SeveralInputs();
      }
      found = i;
    }
  }
  if (found < 0) {
    return MakeError(Reason::kStageNotFound, stage.empty() ? "the run takes no input of clients"
                                                           : fmt::format("the run has no stage `{}`", Excerpt(stage)));
  }
  if (run.slot(found).input == nullptr) {
    return MakeError(Reason::kWrongRunState,
                     fmt::format("stage `{}` takes no input of clients in this run", run.plan().stage(found).name));
  }
  return found;
}

// The input of a run that has ended, to compare with: all of it is kept until the run is deleted. Null: none was sent.
static Task<StatusOr<std::shared_ptr<ClientInput>>> KeptInput(Engine::State& state, const FoundRun& run,
                                                              std::string stage) {
  StatusOr<Plan> plan = run.MakePlan();
  if (!plan.ok()) co_return plan.status();
  if (!stage.empty() && plan->Find(stage) < 0) {
    co_return MakeError(Reason::kStageNotFound, fmt::format("the run has no stage `{}`", Excerpt(stage)));
  }
  std::shared_ptr<ClientInput> input;
  for (int i = 0; i < plan->size(); ++i) {
    const std::string& name = plan->stage(i).name;
    if (stage.empty() ? plan->stage(i).shape != StageShape::kFetch : name != stage) continue;
    auto record = co_await GetRecord<storage::v1::InputState>(state.parts.store, InputStateKey(run.run.name(), name));
    if (!record.ok()) co_return record.status();
    if (!*record) continue;
    if (input) co_return SeveralInputs();
    input = std::make_shared<ClientInput>(state.parts.loop, state.parts.store, state.patient, run.run.name(), name,
                                          *std::move(*record));
  }
  co_return input;
}

Task<StatusOr<v1::AddItemsResponse>> Engine::AddItems(v1::AddItemsRequest request) {
  State& state = *state_;
  MR_CO_RETURN_IF_ERROR(state.CheckOpen());
  StatusOr<FoundRun> found = co_await state.TakeUp(request.run(), false);
  if (!found.ok()) co_return found.status();
  v1::AddItemsResponse response;
  const std::shared_ptr<ActiveRun> run = found->active;
  if (!run || IsEnded(run->state())) {
    auto kept = co_await KeptInput(state, *found, request.stage());
    if (!kept.ok()) co_return kept.status();
    if (*kept == nullptr) {
      co_return MakeError(Reason::kWrongRunState, fmt::format("run `{}` has ended", request.run()));
    }
    StatusOr<int64_t> next = co_await (*kept)->Append(nullptr, std::move(request));
    if (!next.ok()) co_return next.status();
    response.set_next_offset(*next);
    co_return response;
  }
  StatusOr<int> stage = FindInput(*run, request.stage());
  if (!stage.ok()) co_return stage.status();
  const std::shared_ptr<ClientInput> input = run->slot(*stage).input;
  StatusOr<int64_t> next = co_await input->Append(run->slot(*stage).work->fetch.get(), std::move(request));
  if (!next.ok()) co_return next.status();
  run->WakeSteps();
  response.set_next_offset(*next);
  co_return response;
}

Task<StatusOr<v1::CloseInputResponse>> Engine::CloseInput(v1::CloseInputRequest request) {
  State& state = *state_;
  StatusOr<FoundRun> found = co_await state.TakeUp(request.run(), false);
  if (!found.ok()) co_return found.status();
  v1::CloseInputResponse response;
  *response.mutable_run() = found->run;
  std::optional<int64_t> end;
  if (request.has_end_offset()) end = request.end_offset();
  if (!found->active) {  // it has ended: nothing can be added
    if (!end) co_return response;
    auto kept = co_await KeptInput(state, *found, request.stage());
    if (!kept.ok()) co_return kept.status();
    // Where it ended before all was sent, what is missing is no other input.
    const Status same = *kept == nullptr ? absl::OkStatus() : (*kept)->CheckEnd(*end);
    if (same.code() == absl::StatusCode::kAlreadyExists) co_return same;
    co_return response;
  }
  const std::shared_ptr<ActiveRun> run = found->active;
  StatusOr<int> stage = FindInput(*run, request.stage());
  if (!stage.ok()) co_return stage.status();
  MR_CO_RETURN_IF_ERROR(co_await run->slot(*stage).input->Close(end));
  run->WakeSteps();
  *response.mutable_run() = run->Snapshot();
  co_return response;
}

}  // namespace millrace
