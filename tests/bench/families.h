// The families that a pipeline finds in items, through its own stages as in the server: prepare, cluster, merge.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/stages/stage.h"
#include "tools/agreement/scores.h"

namespace millrace {

// What the pipeline's prepare stage makes of the items; as they are where it has none. Failed ones are left out.
StatusOr<std::vector<InputItem>> Prepared(const v1::Pipeline& pipeline, const std::vector<InputItem>& items);

// The families of prepared items. INVALID_ARGUMENT where the pipeline has no cluster stage.
StatusOr<std::vector<InputItem>> FamiliesOf(const v1::Pipeline& pipeline, std::vector<InputItem> prepared);

// Each item's family by the lists `members`; an item in none stands alone.
StatusOr<Labels> FamilyLabels(const std::vector<InputItem>& families, const std::vector<InputItem>& items);

}  // namespace millrace
