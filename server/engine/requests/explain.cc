// `why`: how an item came to be in each stage that it went through, out of the records alone.

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/engine/engine_state.h"
#include "server/engine/requests/item_view.h"
#include "server/engine/times.h"
#include "server/storage/answers.h"
#include "server/storage/items.h"
#include "server/storage/ledger.h"
#include "server/storage/memos.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr size_t kTextBytesMax = 64u << 10;
constexpr int kInputIdsMax = 1000;

std::string Cut(const std::string& text) {
  if (text.size() <= kTextBytesMax) return text;
  size_t end = kTextBytesMax;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

// The first system message and the first user message of a question.
void ReadQuestion(const storage::v1::QuestionRecord& question, v1::CallExplanation& call) {
  call.set_model(question.model());
  const StatusOr<json::value> value = ParseJson(question.request());
  if (!value.ok()) return;
  const json::value* messages = FindPath(*value, "messages");
  if (messages == nullptr || !messages->is_array()) return;
  for (const json::value& message : messages->as_array()) {
    const json::value* role = FindPath(message, "role");
    const json::value* content = FindPath(message, "content");
    if (role == nullptr || content == nullptr || !role->is_string() || !content->is_string()) continue;
    std::string text(content->as_string().data(), content->as_string().size());
    if (role->as_string() == "system" && call.system().empty()) call.set_system(Cut(text));
    if (role->as_string() == "user" && call.prompt().empty()) call.set_prompt(Cut(text));
  }
}

Task<StatusOr<std::vector<v1::CallExplanation>>> ExplainCalls(Engine::State& state, std::string run,
                                                              std::vector<Digest> keys) {
  std::vector<v1::CallExplanation> calls(keys.size());
  auto remembered = co_await LoadCalls(state.parts.store, run, keys);
  if (!remembered.ok()) co_return remembered.status();
  for (size_t i = 0; i < keys.size(); ++i) {
    v1::CallExplanation& call = calls[i];
    call.set_call_key(keys[i].Hex());
    auto attempts = co_await LoadAttemptsOf(state.parts.store, run, keys[i]);
    if (!attempts.ok()) co_return attempts.status();
    for (storage::v1::AttemptRecord& attempt : *attempts) *call.add_attempts() = std::move(*attempt.mutable_attempt());
    const RememberedCall& known = (*remembered)[i];
    if (known.question) ReadQuestion(*known.question, call);
    if (!known.answer) continue;
    call.set_answer(Cut(known.answer->text()));
    *call.mutable_answer_time() = ToTimestamp(known.answer->time_micros());
    call.set_answered_by_run(known.answer->run());
    call.set_cache_hit(known.answer->run() != run);
  }
  co_return calls;
}

// Who computed a remembered result, and when.
Task<Status> ExplainMemo(Engine::State& state, const Digest& key, v1::StageExplanation& explanation) {
  const std::string memo_key = MemoKey(key);
  auto value = co_await state.parts.store.Get(memo_key);
  if (!value.ok()) co_return value.status();
  storage::v1::MemoRecord memo;
  // It may have been forgotten since: what it was used for stays.
  if (!*value || !DecodeValue(memo_key, **value, memo).ok()) co_return absl::OkStatus();
  explanation.set_computed_by_run(memo.run());
  *explanation.mutable_computed_time() = ToTimestamp(memo.time_micros());
  co_return absl::OkStatus();
}

}  // namespace

Task<StatusOr<v1::ExplainItemResponse>> Engine::ExplainItem(v1::ExplainItemRequest request) {
  State& state = *state_;
  const std::string run = request.run();
  StatusOr<FoundRun> found = co_await state.Find(run);
  if (!found.ok()) co_return found.status();
  StatusOr<Plan> plan = found->MakePlan();
  if (!plan.ok()) co_return plan.status();
  v1::ExplainItemResponse response;
  for (const int index : plan->order()) {
    const std::string& stage = plan->stage(index).name;
    if (!request.stage().empty() && request.stage() != stage) continue;
    const ItemKeys keys(run, stage);
    const std::string id_key = keys.Id(request.item_id());
    auto id_value = co_await state.parts.store.Get(id_key);
    if (!id_value.ok()) co_return id_value.status();
    if (!*id_value) continue;
    const std::optional<int64_t> ordinal = DecodeOrdinal(id_key, **id_value);
    if (!ordinal) continue;
    auto record = co_await GetRecord<storage::v1::ItemRecord>(state.parts.store, keys.Item(*ordinal));
    if (!record.ok()) co_return record.status();
    if (!*record) continue;
    v1::StageExplanation& explanation = *response.add_stages();
    std::string memo_bytes = (*record)->memo_key();
    if (memo_bytes.empty() && plan->stage(index).shape == StageShape::kBarrier) {
      auto stage_record = co_await GetRecord<storage::v1::StageRecord>(state.parts.store, StageKey(run, stage));
      if (stage_record.ok() && *stage_record) memo_bytes = (*stage_record)->memo_key();
    }
    if (const std::optional<Digest> key = Digest::FromBytes(memo_bytes)) {
      explanation.set_memo_key(key->Hex());
      if ((*record)->origin() == v1::ORIGIN_MEMO) {
        MR_CO_RETURN_IF_ERROR(co_await ExplainMemo(state, *key, explanation));
      }
    }
    if ((*record)->input_ids().empty() && plan->stage(index).shape != StageShape::kFetch) {
      explanation.add_input_ids((*record)->id());
    }
    for (const std::string& id : (*record)->input_ids()) {
      if (explanation.input_ids_size() < kInputIdsMax) explanation.add_input_ids(id);
    }
    *explanation.mutable_notes() = (*record)->notes();
    std::vector<Digest> call_keys;
    for (const std::string& bytes : (*record)->call_keys()) {
      if (const std::optional<Digest> key = Digest::FromBytes(bytes)) call_keys.push_back(*key);
    }
    if (!call_keys.empty()) {
      auto calls = co_await ExplainCalls(state, run, std::move(call_keys));
      if (!calls.ok()) co_return calls.status();
      for (v1::CallExplanation& call : *calls) *explanation.add_calls() = std::move(call);
    }
    *explanation.mutable_item() = ItemView(*std::move(*record), *ordinal, stage, false);
  }
  if (response.stages().empty()) {
    co_return MakeError(Reason::kItemNotFound, fmt::format("the run has no item `{}`", Excerpt(request.item_id())));
  }
  co_return response;
}

}  // namespace millrace
