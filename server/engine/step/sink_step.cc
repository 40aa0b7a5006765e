// A sink at work: a stage that writes all items to outside. It has no rows: its items are those of the stages that it
// needs. After a crash the write is repeated, unless the stage's end was recorded; this is harmless, because the
// generation is the same.

#include <algorithm>
#include <utility>

#include "server/engine/step/feed.h"
#include "server/engine/step/step.h"

namespace millrace {
namespace {

class SinkStep final : public Step {
 public:
  SinkStep(StepHost& host, int stage)
      : host_(host), stage_(stage), slot_(host.slot(stage)), rows_(*slot_.rows), changed_(host.deps().loop) {}

  Task<void> Run() override {
    if (rows_.done()) co_return;
    const Status status = co_await Work();
    if (!status.ok() && !host_.stopped()) host_.FailStage(stage_, status);
    working_ = false;
    host_.Moved();
  }
  void Wake() override { changed_.NotifyAll(); }
  int64_t in_flight() const override { return working_ ? 1 : 0; }

 private:
  Task<Status> Work() {
    if (const bool may_begin = co_await AwaitWholeInput(host_, stage_, changed_); !may_begin)
      co_return absl::OkStatus();
    if (const bool has_room = co_await host_.AwaitRoom(); !has_room) co_return absl::OkStatus();
    working_ = true;
    rows_.Begin();
    if (StageTrace* const traces = host_.trace(stage_); traces != nullptr) traces->BeginWork();
    host_.Moved();
    StageContext context = MakeStageContext(host_, stage_);
    WholeReader reader(host_, stage_, WholeReader::Which::kWorkedOn);
    MR_CO_RETURN_IF_ERROR(co_await WorkAs<SinkStage>(*slot_.work).Write(context, reader));
    int64_t written = host_.ItemsIn(stage_);
    if (slot_.when) {
      // A sink that finds its generation written does not read the items, so they are counted here.
      while (true) {
        MR_CO_ASSIGN_OR_RETURN(auto items, co_await reader.Next());
        if (items.empty()) break;
      }
      written = reader.count();
    }
    RecordChange change = [written, oddities = reader.oddities()](storage::v1::StageRecord& record) {
      record.mutable_progress()->set_ok(written);
      Oddities::Count(oddities, *record.mutable_oddities());
    };
    co_return co_await host_.EndStage(stage_, std::move(change));
  }

  StepHost& host_;
  const int stage_;
  StageSlot& slot_;
  StageRows& rows_;
  Event changed_;
  bool working_ = false;
};

}  // namespace

std::unique_ptr<Step> MakeSinkStep(StepHost& host, int stage) { return std::make_unique<SinkStep>(host, stage); }

}  // namespace millrace
