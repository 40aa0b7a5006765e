#include "server/engine/step/step.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/engine/step/expect.h"
#include "server/engine/step/feed.h"
#include "server/engine/times.h"

namespace millrace {

void Step::WakeParked(int64_t, int64_t) {}

std::unique_ptr<ItemReader> ReadStage(StepHost& host, int stage) { return WholeReader::OfStage(host, stage); }

StageContext MakeStageContext(StepHost& host, int stage) {
  const storage::v1::RunRecord& record = host.record();
  const StageSlot& slot = host.slot(stage);
  return {.loop = host.deps().loop,
          .pool = slot.rows->pool(),
          .run = record.run().name(),
          .pipeline = record.run().pipeline(),
          .stage = slot.definition->name(),
          .generation = fmt::format("{}-{}", record.run().name(), record.redrives()),
          .as_of_micros = ToMicros(record.run().as_of()),
          .stop = host.stop()};
}

CallingContext MakeCallingContext(StepHost& host, int stage) {
  const StageSlot& slot = host.slot(stage);
  CallingContext context{.stage = MakeStageContext(host, stage), .calls = host.calls(), .call = {}};
  context.call.run = context.stage.run;
  context.call.stage = context.stage.stage;
  context.call.look_up = slot.look_up;
  context.call.remember = slot.definition->cache().mode() != v1::CachePolicy::MODE_OFF;
  if (slot.definition->cache().has_ttl()) {
    context.call.cache_ttl = ToDuration(slot.definition->cache().ttl());
  }
  context.call.stop = context.stage.stop;
  context.call.models = host.models();
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

std::unique_ptr<Step> MakeStep(StepHost& host, int stage) {
  switch (host.plan().stage(stage).shape) {
    case StageShape::kFetch:
      return MakeFetchStep(host, stage);
    case StageShape::kPure:
    case StageShape::kCalling:
      return MakeItemStep(host, stage);
    case StageShape::kBarrier:
      return MakeBarrierStep(host, stage);
    case StageShape::kSink:
      return MakeSinkStep(host, stage);
  }
  return nullptr;
}

}  // namespace millrace
