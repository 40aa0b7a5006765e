#include "tests/bench/families.h"

#include <boost/json.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/base/json.h"
#include "server/stages/cluster/cluster.h"
#include "server/stages/merge/merge.h"
#include "server/stages/prepare/prepare.h"
#include "tests/stages/barrier.h"

namespace millrace {
namespace {

const v1::Stage* StageOf(const v1::Pipeline& pipeline, v1::Stage::KindCase kind) {
  for (const v1::Stage& stage : pipeline.stages()) {
    if (stage.kind_case() == kind) return &stage;
  }
  return nullptr;
}

// Returns the items that a stage made as inputs of the next stage; omits failed and skipped ones.
std::vector<InputItem> InputsOf(const std::vector<StageItem>& made) {
  std::vector<InputItem> items;
  for (const StageItem& one : made) {
    if (one.state != v1::ITEM_STATE_OK && one.state != v1::ITEM_STATE_DEGRADED) continue;
    InputItem item;
    item.ordinal = static_cast<int64_t>(items.size());
    item.id = one.id;
    item.json = std::make_shared<const std::string>(one.json);
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace

StatusOr<std::vector<InputItem>> Prepared(const v1::Pipeline& pipeline, const std::vector<InputItem>& items) {
  const v1::Stage* stage = StageOf(pipeline, v1::Stage::kPrepare);
  if (stage == nullptr) return items;
  const NoFiles files;
  MR_ASSIGN_OR_RETURN(const StageWork work, PrepareKind().make({pipeline, *stage, files}));
  std::vector<StageItem> made = WorkAs<PureStage>(work).Compute(Parsed(items));
  for (size_t i = 0; i < made.size(); ++i) {
    if (made[i].id.empty()) made[i].id = items[i].id;
  }
  return InputsOf(made);
}

StatusOr<std::vector<InputItem>> FamiliesOf(const v1::Pipeline& pipeline, std::vector<InputItem> prepared) {
  constexpr size_t kPage = 1000;
  const v1::Stage* cluster = StageOf(pipeline, v1::Stage::kCluster);
  const v1::Stage* merge = StageOf(pipeline, v1::Stage::kMerge);
  if (cluster == nullptr) return absl::InvalidArgumentError("the pipeline has no cluster stage");
  MR_ASSIGN_OR_RETURN(const std::vector<StageItem> families,
                      RunBarrier(ClusterKind(), *cluster, std::move(prepared), kPage));
  if (merge == nullptr) return InputsOf(families);
  MR_ASSIGN_OR_RETURN(const std::vector<StageItem> merged, RunBarrier(MergeKind(), *merge, InputsOf(families), kPage));
  return InputsOf(merged);
}

StatusOr<Labels> FamilyLabels(const std::vector<InputItem>& families, const std::vector<InputItem>& items) {
  std::map<std::string, std::string> family_of;
  for (const InputItem& family : families) {
    MR_ASSIGN_OR_RETURN(const json::value value, ParseJson(*family.json));
    for (const json::value& member : value.at("members").as_array()) {
      family_of[std::string(member.as_string().data(), member.as_string().size())] = family.id;
    }
  }
  std::vector<std::string> names;
  for (const InputItem& item : items) {
    const auto found = family_of.find(item.id);
    names.push_back(found == family_of.end() ? "" : found->second);
  }
  return LabelsOf(names);
}

}  // namespace millrace
