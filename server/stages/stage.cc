#include "server/stages/stage.h"

#include <cstdlib>
#include <utility>

namespace millrace {
namespace {

StageItem EndedItem(v1::ItemState state, v1::ErrorReason reason, std::string message) {
  StageItem item;
  item.state = state;
  item.reason = reason;
  item.message = std::move(message);
  return item;
}

}  // namespace

StageItem FailedItem(v1::ErrorReason reason, std::string message) {
  return EndedItem(v1::ITEM_STATE_FAILED, reason, std::move(message));
}

StageItem SkippedItem(v1::ErrorReason reason, std::string message) {
  return EndedItem(v1::ITEM_STATE_SKIPPED, reason, std::move(message));
}

StageItem FailedItem(const Status& status) {
  return FailedItem(static_cast<v1::ErrorReason>(ReasonOf(status)), std::string(MessageOf(status)));
}

// A kind overrides the one of the two that `pure` announces; the other is never called.
std::vector<StageItem> ItemStage::Compute(const std::vector<InputItem>&) const { std::abort(); }
Task<StageItem> ItemStage::Process(StageContext&, InputItem) const { std::abort(); }

void StageRegistry::Add(StageKind kind) {
  std::string name = kind.name;
  kinds_.insert_or_assign(std::move(name), std::move(kind));
}

const StageKind* StageRegistry::Find(std::string_view name) const {
  const auto found = kinds_.find(name);
  return found == kinds_.end() ? nullptr : &found->second;
}

const StageKind* StageRegistry::Of(const v1::Stage& stage) const { return Find(KindName(stage)); }

std::string KindName(const v1::Stage& stage) {
  if (stage.kind_case() == v1::Stage::KIND_NOT_SET) return "";
  return v1::Stage::descriptor()->FindFieldByNumber(stage.kind_case())->name();
}

}  // namespace millrace
