#include "server/stages/item.h"

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

StageItem FailedItem(const Status& status) {
  return FailedItem(static_cast<v1::ErrorReason>(ReasonOf(status)), std::string(MessageOf(status)));
}

StageItem SkippedItem(v1::ErrorReason reason, std::string message) {
  return EndedItem(v1::ITEM_STATE_SKIPPED, reason, std::move(message));
}

}  // namespace millrace
