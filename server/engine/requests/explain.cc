#include "server/engine/requests/explain.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/utf8.h"
#include "server/engine/requests/item_view.h"
#include "server/engine/times.h"
#include "server/storage/answers.h"
#include "server/storage/items.h"
#include "server/storage/memos.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr size_t kTextBytesMax = 64u << 10;
constexpr int kInputIdsMax = 1000;

std::string Cut(const std::string& text) { return std::string(Utf8Prefix(text, kTextBytesMax)); }

// Adds the model of a question, its first system message and its first user message.
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

Task<StatusOr<std::vector<v1::CallExplanation>>> ExplainCalls(Store& store, std::string run, std::vector<Digest> keys) {
  std::vector<v1::CallExplanation> calls(keys.size());
  MR_CO_ASSIGN_OR_RETURN(const auto remembered, co_await LoadCalls(store, run, keys));
  for (size_t i = 0; i < keys.size(); ++i) {
    v1::CallExplanation& call = calls[i];
    call.set_call_key(keys[i].Hex());
    for (const v1::Attempt& attempt : remembered[i].attempts) *call.add_attempts() = attempt;
    const RememberedCall& known = remembered[i];
    if (known.question) ReadQuestion(*known.question, call);
    if (!known.answer) continue;
    call.set_answer(Cut(known.answer->text()));
    *call.mutable_answer_time() = ToTimestamp(known.answer->time_micros());
    call.set_answered_by_run(known.answer->run());
    call.set_cache_hit(known.answer->run() != run);
  }
  co_return calls;
}

// Adds which run computed a memoized result, and when.
Task<Status> ExplainMemo(Store& store, const Digest& key, v1::StageExplanation& explanation) {
  const std::string memo_key = MemoKey(key);
  MR_CO_ASSIGN_OR_RETURN(const std::optional<std::string> value, co_await store.Get(memo_key));
  storage::v1::MemoRecord memo;
  // The memo may have been evicted since; the items that used it stay.
  if (!value || !DecodeValue(memo_key, *value, memo).ok()) co_return absl::OkStatus();
  explanation.set_computed_by_run(memo.run());
  *explanation.mutable_computed_time() = ToTimestamp(memo.time_micros());
  co_return absl::OkStatus();
}

}  // namespace

Task<StatusOr<v1::ExplainItemResponse>> ExplainItem(Store& store, Runs& runs, v1::ExplainItemRequest request) {
  const std::string run = request.run();
  MR_CO_ASSIGN_OR_RETURN(const FoundRun found, co_await runs.Find(run));
  MR_CO_ASSIGN_OR_RETURN(const Plan plan, runs.PlanOf(found));
  v1::ExplainItemResponse response;
  for (const int index : plan.order()) {
    const std::string& stage = plan.stage(index).name;
    if (!request.stage().empty() && request.stage() != stage) continue;
    const ItemKeys keys(run, stage);
    const std::string id_key = keys.Id(request.item_id());
    MR_CO_ASSIGN_OR_RETURN(const std::optional<std::string> id_value, co_await store.Get(id_key));
    if (!id_value) continue;
    const std::optional<int64_t> ordinal = DecodeOrdinal(id_key, *id_value);
    if (!ordinal) continue;
    MR_CO_ASSIGN_OR_RETURN(auto record, co_await GetRecord<storage::v1::ItemRecord>(store, keys.Item(*ordinal)));
    if (!record) continue;
    v1::StageExplanation& explanation = *response.add_stages();
    std::string memo_bytes = record->memo_key();
    if (memo_bytes.empty() && plan.stage(index).shape == StageShape::kBarrier) {
      auto stage_record = co_await GetRecord<storage::v1::StageRecord>(store, StageKey(run, stage));
      if (stage_record.ok() && *stage_record) memo_bytes = (*stage_record)->memo_key();
    }
    if (const std::optional<Digest> key = Digest::FromBytes(memo_bytes)) {
      explanation.set_memo_key(key->Hex());
      if (record->origin() == v1::ORIGIN_MEMO) {
        MR_CO_RETURN_IF_ERROR(co_await ExplainMemo(store, *key, explanation));
      }
    }
    if (record->input_ids().empty() && plan.stage(index).shape != StageShape::kFetch) {
      explanation.add_input_ids(record->id());
    }
    for (const std::string& id : record->input_ids()) {
      if (explanation.input_ids_size() < kInputIdsMax) explanation.add_input_ids(id);
    }
    *explanation.mutable_notes() = record->notes();
    std::vector<Digest> call_keys;
    for (const std::string& bytes : record->call_keys()) {
      if (const std::optional<Digest> key = Digest::FromBytes(bytes)) call_keys.push_back(*key);
    }
    if (!call_keys.empty()) {
      MR_CO_ASSIGN_OR_RETURN(auto calls, co_await ExplainCalls(store, run, std::move(call_keys)));
      for (v1::CallExplanation& call : calls) *explanation.add_calls() = std::move(call);
    }
    *explanation.mutable_item() = ItemView(*std::move(record), *ordinal, stage, false);
  }
  if (response.stages().empty()) {
    co_return MakeError(Reason::kItemNotFound, fmt::format("the run has no item `{}`", Excerpt(request.item_id())));
  }
  co_return response;
}

}  // namespace millrace
