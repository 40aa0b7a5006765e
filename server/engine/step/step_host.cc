#include "server/engine/step/step_host.h"

#include "server/engine/stage_counts.h"

namespace millrace {

bool StepHost::InputClosed(int stage) {
  return millrace::InputClosed(
      plan(), stage, [this](int at) -> auto& { return slot(at).rows->record(); });
}

int64_t StepHost::ItemsIn(int stage) {
  return millrace::ItemsIn(
      plan(), stage, [this](int at) -> auto& { return slot(at).rows->record(); });
}

}  // namespace millrace
