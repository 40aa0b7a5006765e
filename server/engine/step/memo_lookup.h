// What can be said of items before they are worked on: which pass a stage unchanged, and what is remembered of the
// others. In chunks, because a look at one item costs little beside the way there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/engine/step/memo.h"
#include "server/engine/step/rows.h"
#include "server/stages/rules/condition.h"
#include "server/stages/stage.h"
#include "server/storage/store.h"

namespace millrace {

// An item that has to be worked on.
struct OpenItem {
  InputItem item;
  std::optional<Digest> memo_key;
};

// What becomes of a chunk: what has ended already, and what has not, each in the order of the input.
struct LookedUp {
  std::vector<EndedItem> ended;
  std::vector<OpenItem> open;
  int64_t hits = 0;  // remembered
  int64_t misses = 0;
  int64_t corrupt = 0;
};

struct LookUpParts {
  Loop& loop;
  Pool& pool;
  Store& store;
};

// Where `memo_rules` is null nothing is remembered.
Task<StatusOr<LookedUp>> LookUp(LookUpParts parts, std::vector<InputItem> items, std::optional<ConditionEvaluator> when,
                                std::shared_ptr<const MemoRules> memo_rules);

// An ended item out of a memo's, and back to an item on its way.
EndedItem FromMemo(InputItem input, const storage::v1::MemoRecord& record, storage::v1::MemoItem item);

}  // namespace millrace
