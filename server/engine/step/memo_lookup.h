// Decides which items of a chunk pass through a stage, which have a memoized result and which must be computed. Works
// in chunks, because looking at one item costs little beside the hop to the pool and the read.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/engine/step/memo.h"
#include "server/engine/step/rows.h"
#include "server/stages/parsed_item.h"
#include "server/stages/rules/condition.h"
#include "server/storage/store.h"

namespace millrace {

// CPU time of the condition `when` for one item.
inline constexpr Duration kWhenCpuMax = std::chrono::seconds(4);

// An item that must be computed.
struct OpenItem {
  ParsedItem input;
  std::optional<Digest> memo_key;
  Oddities oddities;  // that `when` met
};

// A chunk, sorted: items that have ended already and items that must be computed, each in the order of the input.
struct LookedUp {
  std::vector<EndedItem> ended;
  std::vector<OpenItem> open;
  int64_t hits = 0;  // items with a memoized result
  int64_t misses = 0;
  int64_t corrupt = 0;
};

struct LookUpParts {
  Loop& loop;
  Pool& pool;
  Store& store;
};

// Decides about a chunk, on the pool, and parses the open items there. REQUIRES: `memo_rules` is not null.
Task<StatusOr<LookedUp>> LookUp(LookUpParts parts, std::vector<InputItem> items,
                                std::optional<rules::ConditionEvaluator> when,
                                std::shared_ptr<const MemoRules> memo_rules);

// Returns the input's result from a memo.
EndedItem FromMemo(InputItem input, const storage::v1::MemoRecord& record, storage::v1::MemoItem item);

}  // namespace millrace
