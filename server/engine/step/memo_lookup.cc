#include "server/engine/step/memo_lookup.h"

#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/work_meter.h"
#include "server/storage/records.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

enum class Verdict { kWork, kPass, kBad };

struct Look {
  Verdict verdict = Verdict::kWork;
  std::optional<Digest> memo_key;     // set for kWork
  std::optional<json::value> parsed;  // the item, if the condition needed it
  Status bad;                         // why the verdict is kBad, if not because of the item's JSON
  Oddities oddities;                  // that the condition met
};

// Parses an item; nullopt if it is not one JSON object.
std::optional<json::value> ParseItem(const InputItem& item) {
  StatusOr<json::value> value = ParseExact(*item.json);
  if (!value.ok() || !value->is_object()) return std::nullopt;
  return *std::move(value);
}

std::vector<Look> LookAt(const std::vector<InputItem>& items, const std::optional<rules::ConditionEvaluator>& when,
                         const MemoRules& memo_rules) {
  std::vector<Look> looks(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    Look& look = looks[i];
    if (when) {
      look.parsed = ParseItem(items[i]);
      if (!look.parsed) {
        look.verdict = Verdict::kBad;
        continue;
      }
      const WorkMeter meter({.cpu = kWhenCpuMax, .name = "the condition `when`"});
      const bool holds = when->Holds(*look.parsed, &look.oddities);
      if (!meter.status().ok()) {
        look.verdict = Verdict::kBad;
        look.bad = meter.status();
        continue;
      }
      if (!holds) {
        look.verdict = Verdict::kPass;
        continue;
      }
    }
    const StatusOr<Digest> digest = ItemDigest(*items[i].json);
    if (digest.ok()) {
      look.memo_key = memo_rules.KeyOf(items[i].id, *digest);
    } else {
      look.verdict = Verdict::kBad;
    }
  }
  return looks;
}

EndedItem Passed(InputItem input, Oddities oddities) {
  EndedItem ended;
  ended.ordinal = input.ordinal;
  ended.input_id = std::move(input.id);
  ended.json = std::move(input.json);
  if (input.degraded) ended.item.state = v1::ITEM_STATE_DEGRADED;
  ended.item.oddities = std::move(oddities);
  ended.origin = v1::ORIGIN_PASSED;
  return ended;
}

EndedItem Bad(InputItem input, const Status& why) {
  EndedItem ended;
  ended.ordinal = input.ordinal;
  ended.input_id = std::move(input.id);
  ended.item = why.ok() ? FailedItem(v1::ERROR_REASON_BAD_ITEM, "the item is not a JSON object") : FailedItem(why);
  return ended;
}

// Sorts a chunk into ended and open items.
LookedUp Sort(std::vector<InputItem> items, std::vector<Look> looks, const std::vector<std::string>& keys,
              const std::vector<std::optional<std::string>>& values, const MemoRules& memo_rules, int64_t now_micros) {
  LookedUp result;
  size_t asked = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (looks[i].verdict == Verdict::kPass) {
      result.ended.push_back(Passed(std::move(items[i]), std::move(looks[i].oddities)));
      continue;
    }
    if (looks[i].verdict == Verdict::kBad) {
      result.ended.push_back(Bad(std::move(items[i]), looks[i].bad));
      continue;
    }
    const std::optional<std::string>& value = values[asked];
    const std::string& key = keys[asked++];
    storage::v1::MemoRecord record;
    if (value && !DecodeValue(key, *value, record).ok()) {
      ++result.corrupt;  // a miss, never an error
    } else if (value && record.items_size() == 1 && memo_rules.Accepts(record, now_micros)) {
      ++result.hits;
      storage::v1::MemoItem item = std::move(*record.mutable_items(0));
      result.ended.push_back(FromMemo(std::move(items[i]), record, std::move(item)));
      result.ended.back().memo_key = looks[i].memo_key;
      result.ended.back().item.oddities.NoteAll(looks[i].oddities);
      continue;
    }
    ++result.misses;
    std::optional<json::value> parsed = looks[i].parsed ? std::move(looks[i].parsed) : ParseItem(items[i]);
    if (!parsed) {
      result.ended.push_back(Bad(std::move(items[i]), absl::OkStatus()));
      continue;
    }
    OpenItem& open = result.open.emplace_back();
    open.input = {std::move(items[i]), *std::move(parsed)};
    open.memo_key = looks[i].memo_key;
    open.oddities = std::move(looks[i].oddities);
  }
  return result;
}

}  // namespace

EndedItem FromMemo(InputItem input, const storage::v1::MemoRecord& record, storage::v1::MemoItem item) {
  EndedItem ended;
  ended.ordinal = input.ordinal;
  ended.input_id = std::move(input.id);
  ended.origin = v1::ORIGIN_MEMO;
  ended.item.id = std::move(*item.mutable_id());
  ended.item.state = item.state();
  ended.item.reason = item.reason();
  ended.item.message = std::move(*item.mutable_message());
  if (!item.json().empty()) ended.json = std::make_shared<const std::string>(std::move(*item.mutable_json()));
  for (std::string& note : *item.mutable_notes()) ended.item.notes.push_back(std::move(note));
  for (std::string& id : *item.mutable_input_ids()) ended.item.input_ids.push_back(std::move(id));
  ended.item.oddities.NoteAll(item.oddities());
  for (const std::string& bytes : record.call_keys()) {
    if (const std::optional<Digest> key = Digest::FromBytes(bytes)) ended.item.call_keys.push_back(*key);
  }
  return ended;
}

Task<StatusOr<LookedUp>> LookUp(LookUpParts parts, std::vector<InputItem> items,
                                std::optional<rules::ConditionEvaluator> when,
                                std::shared_ptr<const MemoRules> memo_rules) {
  struct Looked {
    std::vector<InputItem> items;
    std::vector<Look> looks;
    std::vector<std::string> keys;
  };
  auto look = [items = std::move(items), when = std::move(when), memo_rules]() mutable {
    Looked looked;
    looked.looks = LookAt(items, when, *memo_rules);
    looked.items = std::move(items);
    for (const Look& each : looked.looks) {
      if (each.memo_key) looked.keys.push_back(memo_rules->StoreKey(*each.memo_key));
    }
    return looked;
  };
  Looked looked = co_await Compute(parts.loop, parts.pool, std::move(look));
  std::vector<std::optional<std::string>> values;
  int64_t damaged = 0;
  if (!looked.keys.empty()) {
    MR_CO_ASSIGN_OR_RETURN(auto found, co_await GetRemembered(parts.store, looked.keys));
    values = std::move(found.values);
    damaged = static_cast<int64_t>(found.lost.size());
  }
  const int64_t now_micros = parts.loop.clock().WallMicros();
  auto sort = [looked = std::move(looked), values = std::move(values), memo_rules, now_micros, damaged]() mutable {
    LookedUp result =
        Sort(std::move(looked.items), std::move(looked.looks), looked.keys, values, *memo_rules, now_micros);
    result.corrupt += damaged;
    return result;
  };
  co_return co_await Compute(parts.loop, parts.pool, std::move(sort));
}

}  // namespace millrace
