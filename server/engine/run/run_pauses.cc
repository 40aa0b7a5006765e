// Causes that end an episode of a run: errors, which fail it, and what a person must decide or repair, which pauses it.
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "server/engine/run/run.h"
#include "server/engine/times.h"

namespace millrace {
namespace {

// Largest part of a provider's words in a remedy, in bytes.
constexpr size_t kQuotedErrorMax = 300;

}  // namespace

void ActiveRun::FailStage(int stage, const Status& error) {
  const std::string& name = plan().stage(stage).name;
  // The file was allowed when the run was created. Another configuration must not end the run.
  if (ReasonOf(error) == Reason::kFileNotAllowed) {
    PauseFor(
        v1::WaitingOn::REASON_CONFIG, "",
        fmt::format("stage `{}`: {}; change it so, or start with the configuration of the run; then resume the run",
                    name, Excerpt(MessageOf(error), 500)),
        Reason::kFileNotAllowed);
    return;
  }
  Fail(name, error);
}

void ActiveRun::Fail(const std::string& stage, const Status& status) {
  if (error_) return;
  const StageItem failed = FailedItem(status);
  v1::RunError& error = error_.emplace();
  error.set_reason(failed.reason);
  error.set_message(failed.message);
  error.set_stage(stage);
  Stop();
}

void ActiveRun::PauseFor(v1::WaitingOn::Reason reason, const std::string& object, std::string remedy, Reason error) {
  if (pause_) return;
  v1::WaitingOn& waiting = pause_.emplace();
  waiting.set_reason(reason);
  waiting.set_object(object);
  *waiting.mutable_since() = ToTimestamp(WallMicros());
  waiting.set_remedy(std::move(remedy));
  waiting.set_error(static_cast<v1::ErrorReason>(error));
  Stop();
}

void ActiveRun::PauseForFile(int stage, const Status& error) {
  if (!is_loaded_ || ReasonOf(error) != Reason::kFileError) return;
  PauseFor(v1::WaitingOn::REASON_CONFIG, "",
           fmt::format("stage `{}`: {}; put it back, then resume the run", plan().stage(stage).name,
                       Excerpt(MessageOf(error), 500)),
           Reason::kFileError);
}

void ActiveRun::PauseForCheck(int stage, std::string message) {
  PauseFor(v1::WaitingOn::REASON_EXPECT, plan().stage(stage).name,
           message + "; resume the run to let it pass, or cancel it");
}

void ActiveRun::PauseForRepair(const std::vector<Blockage>& blockages) {
  std::string remedy;
  for (const Blockage& blockage : blockages) {
    remedy += fmt::format("{}{} refuses all calls: {}; {}", remedy.empty() ? "" : "; or ", blockage.target,
                          Excerpt(blockage.error, kQuotedErrorMax), blockage.advice);
  }
  PauseFor(v1::WaitingOn::REASON_REPAIR, blockages.front().target, remedy + "; then resume the run",
           blockages.front().reason);
}

void ActiveRun::ReconsiderTargets() {
  for (const v1::Stage& stage : definition().stages()) {
    for (const std::string& model : deps_.stages.ModelsOf(stage)) deps_.models.Reconsider(model);
  }
}

}  // namespace millrace
