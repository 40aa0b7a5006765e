// A stage that writes all items to outside, at work. It has no rows of its own: its items are those of the stages that
// it needs. A crash before its end is recorded repeats the write, which is harmless: the generation is the same.

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
    if (!status.ok() && !host_.stopped()) FailStage(host_, stage_, status);
    working_ = false;
    host_.Moved();
  }
  void Wake() override { changed_.NotifyAll(); }
  int64_t in_flight() const override { return working_ ? 1 : 0; }

 private:
  Task<Status> Work() {
    if (const bool held = co_await AwaitWholeInput(host_, stage_, changed_); !held) co_return absl::OkStatus();
    if (const bool held = co_await host_.AwaitRoom(); !held) co_return absl::OkStatus();
    working_ = true;
    rows_.Begin();
    host_.Moved();
    StageContext context = MakeStageContext(host_, stage_);
    WholeReader reader(host_, stage_, WholeReader::Which::kWorkedOn);
    MR_CO_RETURN_IF_ERROR(co_await slot_.work->sink->Write(context, reader));
    int64_t written = host_.ItemsIn(stage_);
    if (slot_.when) {
      // A sink that knows by its generation that all is written has not read it.
      while (true) {
        auto items = co_await reader.Next();
        if (!items.ok()) co_return items.status();
        if (items->empty()) break;
      }
      written = reader.count();
    }
    RecordChange change = [written](storage::v1::StageRecord& record) { record.mutable_progress()->set_ok(written); };
    WriteBatch nothing;
    co_return co_await host_.EndStage(stage_, std::move(change), std::move(nothing));
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
