#include "client/cli/run_hints.h"

#include <fmt/format.h>

#include "client/cli/output.h"

namespace millrace::cli {
namespace {

constexpr int kHintsMax = 3;

}  // namespace

bool IsInterrupted(const v1::Run& run) {
  return run.state() == v1::RUN_STATE_RUNNING && run.waiting_on().reason() == v1::WaitingOn::REASON_USER;
}

std::string InterruptedHint(const Session& session, const v1::Run& run) {
  if (!IsInterrupted(run)) return "";
  return fmt::format("run {0} was interrupted, and nothing works on it; continue it with `millrace watch {0}{1}`\n",
                     Safe(run.name()), session.Flags());
}

std::string InterruptedHints(const Session& session, client::Client& client, const std::string& pipeline,
                             const std::string& run) {
  v1::ListRunsRequest request;
  request.set_pipeline(pipeline);
  request.add_states(v1::RUN_STATE_RUNNING);
  request.set_page_size(kHintsMax + 1);
  const StatusOr<v1::ListRunsResponse> response = client.ListRuns(request);
  std::string hints;
  if (!response.ok()) return hints;  // the run itself is what its user wants
  for (const v1::Run& other : response->runs()) {
    if (other.name() != run) hints += InterruptedHint(session, other);
  }
  return hints;
}

std::string StateHint(const Session& session, const v1::Run& run) {
  if (IsInterrupted(run)) return InterruptedHint(session, run);
  if (run.state() != v1::RUN_STATE_RUNNING && run.state() != v1::RUN_STATE_PAUSED) return "";
  std::string stages;
  for (const v1::StageProgress& stage : run.stages()) {
    if (!stage.done()) stages += fmt::format("{}{}", stages.empty() ? "" : ", ", Safe(stage.stage()));
  }
  std::string text = fmt::format("run {} is {}; stages that have not ended: {}\n", Safe(run.name()),
                                 StateName(run.state()), stages.empty() ? "none" : stages);
  if (run.has_waiting_on()) {
    text += fmt::format("  it waits on {}: {}\n", WaitText(run.waiting_on()), Safe(run.waiting_on().remedy(), 2048));
  }
  if (run.state() == v1::RUN_STATE_PAUSED) {
    text += fmt::format("  continue it with `millrace resume {}{}`\n", Safe(run.name()), session.Flags());
  }
  return text;
}

}  // namespace millrace::cli
