#include "server/simulator/parking_stage.h"

#include <boost/json.hpp>
#include <memory>
#include <utility>

#include "server/base/json.h"
#include "server/stages/stage_work.h"

namespace millrace::simulator {
namespace {

int64_t WakeMicros(const json::value& item) {
  const json::value* wake = FindPath(item, "wake");
  return wake != nullptr && wake->is_int64() ? wake->get_int64() * 1'000'000 : 0;
}

class ParkingItems final : public CallingStage {
 public:
  explicit ParkingItems(std::unique_ptr<CallingStage> real) : real_(std::move(real)) {}
  Task<StageItem> Process(CallingContext& context, ParsedItem item) const override {
    const int64_t wake_micros = WakeMicros(item.value);
    if (wake_micros > context.stage.loop.clock().WallMicros()) {
      StageItem parked;
      parked.wake_micros = wake_micros;
      co_return parked;
    }
    co_return co_await real_->Process(context, std::move(item));
  }

 private:
  const std::unique_ptr<CallingStage> real_;
};

}  // namespace

StageKind WithParking(StageKind real) {
  StageKind kind = real;
  kind.make = [make = std::move(real.make)](const StageDefinition& definition) -> StatusOr<StageWork> {
    MR_ASSIGN_OR_RETURN(StageWork work, make(definition));
    return std::make_unique<ParkingItems>(std::get<std::unique_ptr<CallingStage>>(std::move(work)));
  };
  return kind;
}

}  // namespace millrace::simulator
