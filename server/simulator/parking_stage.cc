#include "server/simulator/parking_stage.h"

#include <boost/json.hpp>
#include <memory>
#include <utility>

#include "server/base/json.h"

namespace millrace::simulator {
namespace {

int64_t WakeMicros(const std::string& text) {
  const StatusOr<json::value> item = ParseJson(text);
  const json::value* wake = item.ok() ? FindPath(*item, "wake") : nullptr;
  return wake != nullptr && wake->is_int64() ? wake->get_int64() * 1'000'000 : 0;
}

class ParkingItems final : public ItemStage {
 public:
  explicit ParkingItems(std::unique_ptr<ItemStage> real) : real_(std::move(real)) {}
  bool pure() const override { return false; }
  Task<StageItem> Process(StageContext& context, InputItem item) const override {
    const int64_t wake_micros = WakeMicros(*item.json);
    if (wake_micros > context.loop.clock().WallMicros()) {
      StageItem parked;
      parked.wake_micros = wake_micros;
      co_return parked;
    }
    co_return co_await real_->Process(context, std::move(item));
  }

 private:
  const std::unique_ptr<ItemStage> real_;
};

}  // namespace

StageKind WithParking(StageKind real) {
  StageKind kind = real;
  kind.make = [make = std::move(real.make)](const StageDefinition& definition) -> StatusOr<StageWork> {
    StatusOr<StageWork> work = make(definition);
    if (work.ok()) work->items = std::make_unique<ParkingItems>(std::move(work->items));
    return work;
  };
  return kind;
}

}  // namespace millrace::simulator
