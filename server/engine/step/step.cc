#include "server/engine/step/step.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/engine/run/stage_counts.h"
#include "server/engine/step/expect.h"
#include "server/engine/times.h"

namespace millrace {

bool StepHost::InputClosed(int stage) {
  return millrace::InputClosed(
      plan(), stage, [this](int at) -> auto& { return slot(at).rows->record(); });
}

int64_t StepHost::ItemsIn(int stage) {
  return millrace::ItemsIn(
      plan(), stage, [this](int at) -> auto& { return slot(at).rows->record(); });
}

void Step::WakeParked(int64_t, int64_t) {}

StageContext MakeStageContext(StepHost& host, int stage) {
  const storage::v1::RunRecord& record = host.record();
  const StageSlot& slot = host.slot(stage);
  StageContext context{.loop = host.deps().loop,
                       .pool = slot.rows->pool(),
                       .calls = host.deps().calls,
                       .run = record.run().name(),
                       .pipeline = record.run().pipeline(),
                       .stage = slot.definition->name(),
                       .generation = fmt::format("{}-{}", record.run().name(), record.redrives()),
                       .as_of_micros = ToMicros(record.run().as_of()),
                       .call = {}};
  context.call.run = context.run;
  context.call.stage = context.stage;
  context.call.look_up = slot.look_up;
  context.call.remember = slot.definition->cache().mode() != v1::CachePolicy::MODE_OFF;
  if (slot.definition->cache().has_ttl()) {
    context.call.cache_ttl = ToDuration(slot.definition->cache().ttl());
  }
  context.call.stop = host.stop();
  return context;
}

Task<bool> AwaitWholeInput(StepHost& host, int stage, Event& changed) {
  const std::vector<int>& needs = host.plan().stage(stage).needs;
  while (!std::all_of(needs.begin(), needs.end(), [&host](int need) { return host.Complete(need); })) {
    if (host.stopped()) co_return false;
    co_await changed.Wait();
  }
  co_return co_await PassesExpectations(host, stage);
}

void FailStage(StepHost& host, int stage, const Status& status) {
  const StageItem item = FailedItem(status);
  v1::RunError error;
  error.set_reason(item.reason);
  error.set_message(item.message);
  error.set_stage(host.plan().stage(stage).name);
  host.Fail(std::move(error));
}

}  // namespace millrace
