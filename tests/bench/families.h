// Families that a pipeline finds in items, by its stages prepare, cluster and merge as in the server.
#pragma once

#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/stages/item.h"
#include "tools/agreement/scores.h"

namespace millrace {

// Returns the results of the pipeline's prepare stage without failed ones; the items unchanged if it has no such stage.
StatusOr<std::vector<InputItem>> Prepared(const v1::Pipeline& pipeline, const std::vector<InputItem>& items);

// Returns the families of prepared items. INVALID_ARGUMENT if the pipeline has no cluster stage.
StatusOr<std::vector<InputItem>> FamiliesOf(const v1::Pipeline& pipeline, std::vector<InputItem> prepared);

// Returns the number of each item's family, by the lists `members`. An item in none of them has its own family.
StatusOr<Labels> FamilyLabels(const std::vector<InputItem>& families, const std::vector<InputItem>& items);

}  // namespace millrace
