#include "server/simulator/sink.h"

#include <algorithm>

#include "server/stages/stage_work.h"

namespace millrace::simulator {
namespace {

class SimulatedSink final : public SinkStage {
 public:
  explicit SimulatedSink(SinkWorld& world) : world_(world) {}

  Task<Status> Write(StageContext& context, ItemReader& reader) const override {
    SinkWorld::Generation generation{.name = context.generation, .rows = {}};
    while (true) {
      MR_CO_ASSIGN_OR_RETURN(std::vector<InputItem> page, co_await reader.Next());
      if (page.empty()) break;
      for (const InputItem& item : page) generation.rows.push_back({item.id, *item.json});
      co_await context.loop.Sleep(std::chrono::milliseconds(3));
    }
    co_await context.loop.Sleep(std::chrono::milliseconds(20));
    std::vector<SinkWorld::Generation>& written = world_.stages[context.stage];
    const auto same = [&](const SinkWorld::Generation& other) { return other.name == generation.name; };
    if (std::none_of(written.begin(), written.end(), same)) written.push_back(std::move(generation));
    // The sink has committed; a crash before the engine records it must be harmless.
    co_await context.loop.Sleep(std::chrono::milliseconds(5));
    co_return absl::OkStatus();
  }

 private:
  SinkWorld& world_;
};

}  // namespace

StageKind SimulatedStoreKind(SinkWorld& world) {
  StageKind kind;
  kind.name = "store";
  kind.shape = StageShape::kSink;
  kind.make = [&world](const StageDefinition&) -> StatusOr<StageWork> {
    return std::make_unique<SimulatedSink>(world);
  };
  kind.fields = [](const v1::Stage&) { return StageKind::Fields{}; };
  return kind;
}

}  // namespace millrace::simulator
