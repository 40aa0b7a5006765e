// Command `backends`.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/base/duration.h"

namespace millrace::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kNoteBytesMax = 600;

std::string HealthText(const v1::BackendInfo& backend) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(ToDuration(backend.probe_time())).count();
  switch (backend.health()) {
    case v1::SERVER_HEALTH_ANSWERS:
      return fmt::format("answers ({} ms)", Count(millis));
    case v1::SERVER_HEALTH_UNREACHABLE:
      return "not reachable";
    case v1::SERVER_HEALTH_FAILING:
      return "failing";
    default:
      return "not asked";
  }
}

// Models with a revision have a table of their own; lists of others can be long and say nothing more.
bool HasModelTable(const v1::BackendInfo& backend) {
  return std::any_of(backend.served_models().begin(), backend.served_models().end(),
                     [](const v1::ServedModelInfo& model) { return model.has_loaded() || !model.revision().empty(); });
}

std::string NoteText(const v1::BackendInfo& backend) {
  if (!backend.note().empty()) return Safe(backend.note(), kNoteBytesMax);
  if (backend.health() != v1::SERVER_HEALTH_ANSWERS) return Safe(backend.description());
  return fmt::format("{} {}", Count(backend.served_models_size()),
                     backend.served_models_size() == 1 ? "model" : "models");
}

std::string StateText(const v1::TargetInfo& target) {
  const std::string until = target.has_available_time() ? " until " + Time(target.available_time()) : "";
  switch (target.state()) {
    case v1::TARGET_STATE_FAILING:
      return "failing";
    case v1::TARGET_STATE_PAUSED:
      return "paused" + until;
    case v1::TARGET_STATE_PREPARING:
      return Safe(target.waits_for());
    case v1::TARGET_STATE_BREAKER_OPEN:
      return "breaker open" + until;
    case v1::TARGET_STATE_PROBLEM:
      return "problem";
    default:
      return target.problem().empty() ? "ok" : "problem";
  }
}

std::string Memory(int64_t bytes) {
  constexpr double kGib = 1024.0 * 1024 * 1024;
  if (bytes >= static_cast<int64_t>(kGib)) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / kGib);
  return fmt::format("{} MiB", Count((bytes + (1 << 20) - 1) >> 20));
}

std::string GpuShare(const v1::LoadedModelInfo& loaded) {
  if (loaded.memory_bytes() <= 0) return "-";
  const double share = static_cast<double>(loaded.gpu_bytes()) / static_cast<double>(loaded.memory_bytes());
  return fmt::format("{:.0f}%", 100 * std::min(share, 1.0));
}

std::vector<std::string> ModelRow(const std::string& backend, const v1::ServedModelInfo& model) {
  const v1::LoadedModelInfo& loaded = model.loaded();
  const bool is_loaded = model.has_loaded();
  return {fmt::format("{}/{}", Safe(backend), Safe(model.name())),
          is_loaded ? "yes" : "no",
          is_loaded ? Memory(loaded.memory_bytes()) : "-",
          is_loaded ? GpuShare(loaded) : "-",
          loaded.context_tokens() > 0 ? Count(loaded.context_tokens()) : "-",
          Safe(model.revision().substr(0, 12))};
}

int ShowBackends(Session& session, bool asks_servers) {
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  v1::ListBackendsRequest request;
  request.set_ask_servers(asks_servers);
  const StatusOr<v1::ListBackendsResponse> response = (*client)->ListBackends(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  Rows backends = {{"BACKEND", "KIND", "SERVER", "VERSION", "NOTE"}};
  Rows targets = {{"TARGET", "STATE", "IN FLIGHT", "WAITING", "NOTE"}};
  Rows models = {{"MODEL ON SERVER", "LOADED", "MEMORY", "ON GPU", "CONTEXT", "REVISION"}};
  for (const v1::BackendInfo& backend : response->backends()) {
    backends.push_back({backend.name(), backend.kind(), HealthText(backend),
                        backend.version().empty() ? "-" : Safe(backend.version()), NoteText(backend)});
    for (const v1::TargetInfo& target : backend.targets()) {
      const std::string& note = target.problem().empty() ? target.error() : target.problem();
      targets.push_back({fmt::format("{}/{}", target.backend(), Safe(target.model())), StateText(target),
                         fmt::format("{} of {}", Count(target.in_flight()), Count(target.max_concurrency())),
                         Count(target.waiting()), Safe(note, kNoteBytesMax)});
    }
    if (!HasModelTable(backend)) continue;
    for (const v1::ServedModelInfo& model : backend.served_models()) models.push_back(ModelRow(backend.name(), model));
  }
  std::cout << Table(backends);
  if (targets.size() > 1) std::cout << "\n" << Table(targets);
  if (models.size() > 1) std::cout << "\n" << Table(models);
  return kDone;
}

}  // namespace

void AddBackendsCommand(CLI::App& app, Session& session, int& exit) {
  const auto asks_no_server = std::make_shared<bool>(false);
  CLI::App* backends =
      AddCommand(app, "backends", "Show backends: what their servers answer, targets, and models in memory",
                 "  millrace backends\n  millrace backends --no-probe --format json");
  backends->add_flag("--no-probe", *asks_no_server,
                     "Do not send probes to the providers' servers (probes are free of charge)");
  backends->callback([&session, &exit, asks_no_server] { exit = ShowBackends(session, !*asks_no_server); });
}

}  // namespace millrace::cli
