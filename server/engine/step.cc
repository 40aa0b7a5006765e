#include "server/engine/step.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/engine/expect.h"
#include "server/engine/times.h"

namespace millrace {

bool StepHost::InputClosed(int stage) {
  const std::vector<int>& needs = plan().stage(stage).needs;
  if (needs.empty()) return slot(stage).rows->done();
  return std::all_of(needs.begin(), needs.end(), [this](int need) { return slot(need).rows->done(); });
}

int64_t StepHost::ItemsIn(int stage) {
  const std::vector<int>& needs = plan().stage(stage).needs;
  if (needs.empty()) return slot(stage).rows->progress().items_in();
  int64_t items = 0;
  for (const int need : needs) {
    const StageRows& rows = *slot(need).rows;
    if (rows.readable()) items += rows.progress().ok() + rows.progress().degraded();
  }
  return items;
}

void Step::WakeParked(int64_t, int64_t) {}

StageContext MakeStageContext(StepHost& host, int stage) {
  const storage::v1::RunRecord& record = host.record();
  const StageSlot& slot = host.slot(stage);
  StageContext context{.loop = host.parts().loop,
                       .pool = slot.rows->pool(),
                       .calls = host.parts().calls,
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
