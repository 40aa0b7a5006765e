#include "server/engine/plan.h"

#include <fmt/format.h>

#include <map>

namespace millrace {
namespace {

Status Wrong(const std::string& message) { return MakeError(Reason::kInvalidDefinition, message); }

}  // namespace

StatusOr<Plan> Plan::Make(const v1::Pipeline& pipeline, const std::vector<StageShape>& shapes) {
  Plan plan;
  std::map<std::string, int, std::less<>> index;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    if (!index.emplace(stage.name(), i).second) return Wrong(fmt::format("two stages are named `{}`", stage.name()));
    PlanStage entry;
    entry.name = stage.name();
    entry.kind = KindName(stage);
    entry.shape = shapes[i];
    entry.whole_input = entry.shape == StageShape::kBarrier || entry.shape == StageShape::kSink ||
                        (WorksOnEach(entry.shape) && stage.has_expect());
    entry.streams = WorksOnEach(entry.shape) || (entry.shape == StageShape::kFetch && !stage.has_expect());
    plan.stages_.push_back(std::move(entry));
  }
  if (plan.stages_.empty()) return Wrong("a pipeline has at least one stage");
  std::vector<size_t> open(plan.stages_.size());
  for (int i = 0; i < plan.size(); ++i) {
    PlanStage& stage = plan.stages_[i];
    const auto& needs = pipeline.stages(i).needs();
    if (stage.shape == StageShape::kFetch && !needs.empty()) {
      return Wrong(fmt::format("stage `{}` reads from outside and needs no other", stage.name));
    }
    if (stage.shape != StageShape::kFetch && needs.empty()) {
      return Wrong(fmt::format("stage `{}` needs at least one other", stage.name));
    }
    for (const std::string& need : needs) {
      const auto found = index.find(need);
      if (found == index.end())
        return Wrong(fmt::format("stage `{}` needs `{}`, which does not exist", stage.name, need));
      if (plan.stages_[found->second].shape == StageShape::kSink) {
        return Wrong(fmt::format("stage `{}` needs `{}`, which makes no items", stage.name, need));
      }
      for (const int other : stage.needs) {
        if (other == found->second) return Wrong(fmt::format("stage `{}` needs `{}` twice", stage.name, need));
      }
      stage.needs.push_back(found->second);
      plan.stages_[found->second].consumers.push_back(i);
    }
    open[i] = stage.needs.size();
  }
  for (int i = 0; i < plan.size(); ++i) {
    if (open[i] == 0) plan.order_.push_back(i);
  }
  for (size_t at = 0; at < plan.order_.size(); ++at) {
    for (const int consumer : plan.stages_[plan.order_[at]].consumers) {
      if (--open[consumer] == 0) plan.order_.push_back(consumer);
    }
  }
  if (plan.order_.size() != plan.stages_.size()) return Wrong("stages need each other in a circle");
  return plan;
}

int Plan::Find(std::string_view name) const {
  for (int i = 0; i < size(); ++i) {
    if (stages_[i].name == name) return i;
  }
  return -1;
}

std::vector<int> Plan::After(int index) const {
  std::vector<bool> after(stages_.size());
  after[index] = true;
  std::vector<int> result;
  for (const int stage : order_) {
    if (stage == index) continue;
    for (const int need : stages_[stage].needs) {
      if (!after[need]) continue;
      after[stage] = true;
      result.push_back(stage);
      break;
    }
  }
  return result;
}

Plan Plan::Streaming() const {
  Plan plan = *this;
  for (PlanStage& stage : plan.stages_) {
    stage.streams = true;
    if (WorksOnEach(stage.shape)) stage.whole_input = false;
  }
  return plan;
}

int Plan::Result() const {
  for (int i = size() - 1; i >= 0; --i) {
    const PlanStage& stage = stages_[order_[i]];
    if (stage.shape == StageShape::kSink) return stage.needs.front();
  }
  return order_.back();
}

}  // namespace millrace
