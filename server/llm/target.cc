#include "server/llm/target.h"

#include <fmt/format.h>

#include <utility>

namespace millrace {

Target::Target(Loop& loop, BackendEntry& entry, std::string model, int32_t max_concurrency)
    : entry_(entry), model_(std::move(model)), max_concurrency_(max_concurrency), stored_(loop) {}

std::string Target::Name() const { return fmt::format("{}/{}", entry_.name, model_); }

Task<void> Target::BeginStoring() {
  while (storing_ >= max_concurrency_) co_await stored_.Wait();
  ++storing_;
}

void Target::EndStoring() {
  --storing_;
  stored_.NotifyOne();
}

bool Target::HoldOff(TimePoint until) {
  if (until <= retry_after_until_) return false;
  retry_after_until_ = until;
  return true;
}

}  // namespace millrace
