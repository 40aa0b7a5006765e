#include "server/llm/backend_report.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/base/duration.h"
#include "server/llm/advice.h"
#include "server/llm/target_info.h"

namespace millrace {
namespace {

constexpr size_t kNameBytesMax = 256;

Task<void> Probe(Prober& prober, BackendEntry& entry, std::vector<std::string> models,
                 std::shared_ptr<const Probed>& result) {
  result = co_await prober.Ask(entry, std::move(models));
}

// Without its secret the server is not asked.
bool IsUnreachable(const backend::Failure& failure) {
  return failure.http_status == 0 && failure.outcome != backend::Outcome::kCredentials;
}

std::string NoteOf(const backend::Failure& failure, const BackendEntry& entry) {
  std::string advice;
  if (IsUnreachable(failure)) {
    advice = entry.backend->manifest().if_unreachable;
  } else if (failure.http_status != 0 &&
             (failure.outcome == backend::Outcome::kCredentials || failure.outcome == backend::Outcome::kQuota)) {
    advice = AdviceOn(entry, "", failure.reason);
  }
  return advice.empty() ? failure.message : failure.message + "; " + advice;
}

void AddServed(const backend::ServedModel& served, v1::BackendInfo& info) {
  v1::ServedModelInfo& model = *info.add_served_models();
  model.set_name(Excerpt(served.name, kNameBytesMax));
  model.set_revision(Excerpt(served.revision, kNameBytesMax));
  if (!served.loaded) return;
  v1::LoadedModelInfo& loaded = *model.mutable_loaded();
  loaded.set_memory_bytes(served.loaded->memory_bytes);
  loaded.set_gpu_bytes(served.loaded->gpu_bytes);
  loaded.set_context_tokens(served.loaded->context);
}

// A target that fails or waits for something else keeps that state.
void SetProblem(const std::string& problem, v1::TargetInfo& target) {
  target.set_problem(problem);
  if (!problem.empty() && target.state() == v1::TARGET_STATE_OK) target.set_state(v1::TARGET_STATE_PROBLEM);
}

// `info` has the targets that the probe was made for, in order.
void AddProbed(const Probed& probed, const BackendEntry& entry, v1::BackendInfo& info) {
  *info.mutable_probe_time() = FromDuration(probed.took);
  if (probed.failure) {
    info.set_health(IsUnreachable(*probed.failure) ? v1::SERVER_HEALTH_UNREACHABLE : v1::SERVER_HEALTH_FAILING);
    info.set_note(NoteOf(*probed.failure, entry));
    for (v1::TargetInfo& target : *info.mutable_targets()) SetProblem(info.note(), target);
    return;
  }
  info.set_health(v1::SERVER_HEALTH_ANSWERS);
  info.set_note(probed.state.note);
  info.set_version(Excerpt(probed.state.version, kNameBytesMax));
  for (const backend::ServedModel& served : probed.state.models) AddServed(served, info);
  for (int i = 0; i < info.targets_size() && static_cast<size_t>(i) < probed.state.asked.size(); ++i) {
    const backend::AskedModel& asked = probed.state.asked[static_cast<size_t>(i)];
    info.mutable_targets(i)->set_revision(Excerpt(asked.revision, kNameBytesMax));
    SetProblem(asked.problem, *info.mutable_targets(i));
  }
}

}  // namespace

Task<v1::ListBackendsResponse> ReportBackends(Loop& loop, const Models& models, Prober& prober,
                                              v1::ListBackendsRequest request) {
  const auto& backends = models.backends();
  std::vector<std::shared_ptr<const Probed>> probed(backends.size());
  if (request.ask_servers()) {
    TaskGroup probes(loop);
    for (size_t i = 0; i < backends.size(); ++i) {
      probes.Spawn(Probe(prober, *backends[i], models.ModelsAt(*backends[i]), probed[i]));
    }
    co_await probes.Join();
  }
  v1::ListBackendsResponse response;
  for (size_t i = 0; i < backends.size(); ++i) {
    const backend::Manifest& manifest = backends[i]->backend->manifest();
    v1::BackendInfo& info = *response.add_backends();
    info.set_name(backends[i]->name);
    info.set_kind(manifest.kind);
    info.set_description(manifest.description);
    for (const auto& target : models.targets()) {
      if (&target->entry() == backends[i].get()) *info.add_targets() = InfoOf(*target, loop.clock());
    }
    for (v1::TargetInfo& target : *info.mutable_targets()) SetProblem(backends[i]->secret_problem, target);
    if (probed[i]) {
      AddProbed(*probed[i], *backends[i], info);
    } else if (request.ask_servers()) {
      info.set_health(v1::SERVER_HEALTH_NOT_ASKED);
    }
  }
  co_return response;
}

}  // namespace millrace
