// The call by itself, and the server itself: Generate, status, models, what is remembered.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "server/engine/engine_state.h"
#include "server/engine/times.h"
#include "server/storage/keys.h"
#include "server/storage/memos.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

constexpr int kMessagesMax = 1000;
constexpr size_t kMessageBytesMax = 4u << 20;

std::optional<FieldViolation> FindWrongField(const v1::GenerateRequest& request) {
  if (request.model().empty()) return FieldViolation{"model", "the alias of a model is needed"};
  if (request.messages().empty()) return FieldViolation{"messages", "at least one message is needed"};
  if (request.messages_size() > kMessagesMax) return FieldViolation{"messages", "at most 1,000"};
  size_t bytes = 0;
  for (int i = 0; i < request.messages_size(); ++i) {
    const v1::Message& message = request.messages(i);
    if (message.role() != "system" && message.role() != "user" && message.role() != "assistant") {
      return FieldViolation{fmt::format("messages[{}].role", i), "system, user or assistant"};
    }
    bytes += message.content().size();
  }
  if (bytes > kMessageBytesMax) return FieldViolation{"messages", "at most 4 MiB together"};
  if (request.max_tokens() < 0 || request.max_tokens() > 1'000'000) {
    return FieldViolation{"max_tokens", "1 to 1,000,000; 0: 1,024"};
  }
  if (request.has_temperature() && !(request.temperature() >= 0 && request.temperature() <= 2)) {
    return FieldViolation{"temperature", "0 to 2"};
  }
  if (request.has_top_p() && !(request.top_p() >= 0 && request.top_p() <= 1)) return FieldViolation{"top_p", "0 to 1"};
  if (request.has_repairs() && (request.repairs() < 0 || request.repairs() > 3)) {
    return FieldViolation{"repairs", "0 to 3"};
  }
  if (ToDuration(request.max_age()) < Duration(0)) return FieldViolation{"max_age", "at least 0"};
  return std::nullopt;
}

}  // namespace

Task<StatusOr<v1::GenerateResponse>> Engine::Generate(v1::GenerateRequest request, TimePoint deadline,
                                                      std::shared_ptr<StopSignal> left) {
  State& state = *state_;
  MR_CO_RETURN_IF_ERROR(state.CheckOpen());
  if (const std::optional<FieldViolation> wrong = FindWrongField(request)) {
    co_return MakeFieldError(Reason::kInvalidField, wrong->field + ": " + wrong->description, {*wrong});
  }
  CallRequest call;
  call.model_alias = request.model();
  for (v1::Message& message : *request.mutable_messages()) {
    call.question.messages.push_back({std::move(*message.mutable_role()), std::move(*message.mutable_content())});
  }
  call.question.output_schema = std::move(*request.mutable_output_schema());
  if (request.max_tokens() > 0) call.question.max_tokens = request.max_tokens();
  if (request.has_temperature()) call.question.temperature = request.temperature();
  if (request.has_top_p()) call.question.top_p = request.top_p();
  if (request.has_seed()) call.question.seed = request.seed();
  call.question.sample_number = request.sample_number();
  if (request.has_repairs()) call.repairs = request.repairs();
  CallContext context;
  context.deadline = deadline;
  context.stop = std::move(left);
  if (request.has_max_age()) context.cache_ttl = ToDuration(request.max_age());
  CallOutcome outcome = co_await state.parts.calls.Handle(std::move(context), std::move(call));
  MR_CO_RETURN_IF_ERROR(co_await Commit(state.patient, std::move(outcome.settlement)));
  if (!outcome.status.ok()) co_return outcome.status;
  if (outcome.stopped) co_return MakeError(Reason::kCancelled, "the client left");
  v1::GenerateResponse response;
  response.set_text(std::move(outcome.text));
  response.set_backend(std::move(outcome.backend));
  response.set_model(std::move(outcome.model));
  response.set_cache_hit(outcome.cache_hit);
  response.set_coalesced(outcome.coalesced);
  if (!outcome.call_keys.empty()) response.set_call_key(outcome.call_keys.back().Hex());
  response.set_input_tokens(outcome.input_tokens);
  response.set_output_tokens(outcome.output_tokens);
  if (outcome.cost_nano_usd) response.set_cost_nano_usd(*outcome.cost_nano_usd);
  for (v1::Attempt& attempt : outcome.attempts) *response.add_attempts() = std::move(attempt);
  co_return response;
}

Task<StatusOr<v1::GetStatusResponse>> Engine::GetStatus(v1::GetStatusRequest) {
  State& state = *state_;
  v1::GetStatusResponse response;
  response.set_version(state.options.version);
  response.set_pid(state.options.pid);
  *response.mutable_start_time() = ToTimestamp(state.start_micros);
  response.set_data_dir(state.options.data_dir);
  response.set_durability(state.options.durability);
  switch (state.parts.store.state()) {
    case StoreState::kOk:
      response.set_store("ok");
      break;
    case StoreState::kDiskLow:
      response.set_store("disk_low");
      break;
    case StoreState::kReopening:
      response.set_store("reopening");
      break;
  }
  const StoreFigures store = state.parts.store.Figures();
  response.set_disk_free_bytes(store.disk_free_bytes);
  response.set_disk_reserve_bytes(store.disk_reserve_bytes);
  response.set_commits(static_cast<int64_t>(store.commits));
  if (store.syncs > 0) *response.mutable_fsync_p50() = FromDuration(store.sync_p50);
  const auto in_memory = std::count_if(state.runs.begin(), state.runs.end(),
                                       [](const auto& entry) { return !IsEnded(entry.second->state()); });
  response.set_active_runs(in_memory + static_cast<int64_t>(state.set_aside.size()));
  response.set_calls_waiting(state.parts.desk.waiting());
  response.set_attempts_in_flight(state.parts.desk.in_flight());
  const LoopFigures loop = state.parts.loop.Figures();
  *response.mutable_loop_lag_p50() = FromDuration(loop.lag_p50);
  *response.mutable_loop_lag_p999() = FromDuration(loop.lag_p999);
  *response.mutable_handler_cpu_p999() = FromDuration(loop.handler_cpu_p999);
  response.set_draining(state.draining);
  co_return response;
}

Task<StatusOr<v1::ListBackendsResponse>> Engine::ListBackends(v1::ListBackendsRequest) {
  co_return state_->parts.desk.Backends();
}

Task<StatusOr<v1::ListModelsResponse>> Engine::ListModels(v1::ListModelsRequest) {
  co_return state_->parts.desk.Models();
}

Task<StatusOr<v1::GetCacheStatsResponse>> Engine::GetCacheStats(v1::GetCacheStatsRequest) {
  State& state = *state_;
  v1::GetCacheStatsResponse response;
  StatusOr<v1::CacheStats> answers = co_await state.parts.desk.AnswerStats();
  if (!answers.ok()) co_return answers.status();
  *response.mutable_answers() = *std::move(answers);
  auto [begin, end] = MemoKeys();
  StatusOr<Store::Size> size = co_await state.parts.store.EstimateSize(std::move(begin), std::move(end));
  if (!size.ok()) co_return size.status();
  v1::CacheStats& memos = *response.mutable_memos();
  memos.set_entries(size->entries);
  memos.set_bytes(size->bytes);
  memos.set_hits(state.memos.hits);
  memos.set_misses(state.memos.misses);
  memos.set_corrupt(state.memos.corrupt);
  co_return response;
}

Task<StatusOr<v1::EvictCacheResponse>> Engine::EvictCache(v1::EvictCacheRequest request) {
  State& state = *state_;
  v1::EvictCacheResponse response;
  std::optional<Duration> older_than;
  if (request.has_older_than()) {
    older_than = ToDuration(request.older_than());
    if (*older_than < Duration(0)) {
      co_return MakeFieldError(Reason::kInvalidField, "older_than is negative", {{"older_than", "at least 0"}});
    }
  }
  std::function<bool(const std::string&)> in_use = [&state](const std::string& run) {
    const std::shared_ptr<ActiveRun> active = state.FindActive(run);
    return (active && !IsEnded(active->state())) || state.set_aside.contains(run);
  };
  StatusOr<int64_t> answers = co_await state.parts.desk.EvictAnswers(older_than, request.target(), std::move(in_use));
  if (!answers.ok()) co_return answers.status();
  response.set_answers(*answers);
  // A result of an item does not say by which target it was made: one target's answers go alone.
  if (request.keep_memos() || !request.target().empty()) co_return response;
  const int64_t before_micros =
      older_than ? state.parts.loop.clock().WallMicros() - older_than->count() / 1000 : INT64_MAX;
  auto [begin, end] = MemoKeys();
  while (!begin.empty()) {
    auto page = co_await state.parts.store.Scan(std::move(begin), end, 1000, 1 << 20);
    if (!page.ok()) co_return page.status();
    begin = std::move(page->next);
    struct Evicted {
      WriteBatch batch;
      int64_t count = 0;
    };
    auto choose = [entries = std::move(page->entries), before_micros] {
      Evicted evicted;
      for (const StoreEntry& entry : entries) {
        storage::v1::MemoRecord memo;
        const bool damaged = !DecodeValue(entry.key, entry.value, memo).ok();
        if (!damaged && memo.time_micros() >= before_micros) continue;
        ++evicted.count;
        evicted.batch.Delete(entry.key);
        const std::optional<Digest> key = KeyReader(entry.key).Key();
        // The rest of a damaged barrier's list can't be counted: it is overwritten when the list is made again.
        for (int64_t part = 0; key && part < memo.further_records(); ++part) {
          evicted.batch.Delete(MemoPartKey(*key, part));
        }
      }
      return evicted;
    };
    Evicted evicted = co_await Compute(state.parts.loop, state.parts.pool, std::move(choose));
    if (evicted.batch.empty()) continue;
    MR_CO_RETURN_IF_ERROR(co_await state.parts.store.Commit(std::move(evicted.batch), CommitMode::kReadable));
    response.set_memos(response.memos() + evicted.count);
  }
  co_return response;
}

}  // namespace millrace
