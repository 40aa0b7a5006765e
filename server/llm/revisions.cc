#include "server/llm/revisions.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/storage/keys.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

// Time for which a probe is new enough.
constexpr Duration kFresh = std::chrono::seconds(1);
// Multiple of the time of a failed probe for which it is new enough, if the revision is known from before: calls must
// not wait for a server that hangs again and again.
constexpr int kFreshFailureTimes = 10;

std::string KeyOf(const Target& target) {
  return KeyBuilder(Table::kModel).Text(target.entry().name).Text(target.model());
}

// Returns true if the server has answered, so that it will give no revision later either. A path that it does not have
// says nothing about its models.
bool IsFinal(const backend::Failure& failure) {
  return failure.http_status != 0 && (!IsTargetFault(failure.outcome) || failure.outcome == backend::Outcome::kNoModel);
}

}  // namespace

bool Revisions::IsUnknown(const Route& route) const {
  if (!route.reports_revision) return false;
  const auto known = known_.find(route.target);
  return known == known_.end() || !known->second.revision || known->second.is_awaited;
}

std::shared_ptr<const Identities> Revisions::Find(const Alias& alias) const {
  if (!alias.reports_revisions) return alias.identities;
  const auto is_unknown = [this](const Route& route) { return IsUnknown(route); };
  if (std::all_of(alias.routes.begin(), alias.routes.end(), is_unknown)) return nullptr;
  if (std::any_of(alias.routes.begin(), alias.routes.end(), is_unknown)) return FindOrInvent(alias);
  std::shared_ptr<const Identities>& cached = cached_[&alias];
  if (cached == nullptr) cached = FindOrInvent(alias);
  return cached;
}

std::shared_ptr<const Identities> Revisions::FindOrInvent(const Alias& alias) const {
  auto identities = std::make_shared<Identities>();
  for (const Route& route : alias.routes) {
    if (!route.reports_revision) {
      identities->push_back(route.identity);
    } else if (IsUnknown(route)) {
      identities->push_back(route.target->Identity(fmt::format("not known at {}", loop_.clock().WallMicros())));
    } else {
      identities->push_back(route.target->Identity(*known_.at(route.target).revision));
    }
  }
  return identities;
}

TimePoint Revisions::DueAt(const Server& server, bool is_unknown) const {
  if (server.is_asked) return kNever;
  return server.has_asked ? DueAfter(server, is_unknown) : TimePoint();
}

TimePoint Revisions::DueAfter(const Server& server, bool is_unknown) {
  const bool has_failed = server.failure && !is_unknown;
  return server.asked_at + (has_failed ? std::max(kFresh, server.took * kFreshFailureTimes) : kFresh);
}

bool Revisions::IsFresh(const Alias& alias) const {
  return std::all_of(alias.routes.begin(), alias.routes.end(), [this](const Route& route) {
    if (!route.reports_revision) return true;
    const auto found = servers_.find(&route.target->entry());
    if (found == servers_.end() || !found->second.has_asked) return false;
    const Server& server = found->second;
    const bool is_unknown = IsUnknown(route);
    if (!server.is_asked) return DueAt(server, is_unknown) > loop_.Now();
    if (!server.failure) return false;
    // Calls need nothing from a server that has no remembered answers and failed before. If it has some, the failure
    // counts for as long as a probe takes: under steady load no call waits for a server that hangs again and again.
    return is_unknown || loop_.Now() < DueAfter(server, is_unknown) + Prober::kTimeMax;
  });
}

TimePoint Revisions::NextProbe(const Alias& alias) const {
  TimePoint next = kNever;
  for (const Route& route : alias.routes) {
    if (!route.reports_revision) continue;
    const auto server = servers_.find(&route.target->entry());
    next = std::min(next, server == servers_.end() ? TimePoint() : DueAt(server->second, IsUnknown(route)));
  }
  return next;
}

void Revisions::Learn(const Alias& alias) {
  for (const Route& route : alias.routes) {
    if (!route.reports_revision) continue;
    Server& server = servers_[&route.target->entry()];
    if (DueAt(server, IsUnknown(route)) > loop_.Now()) continue;
    server.is_asked = true;
    loop_.Spawn(Ask(route.target->entry()));
  }
}

Task<void> Revisions::Ask(BackendEntry& entry) {
  Server& server = servers_[&entry];
  const int64_t forgotten = server.forgotten;
  if (!server.is_loaded) co_await Load(entry);
  server.is_loaded = true;
  std::vector<std::string> models = models_.ModelsAt(entry);
  std::shared_ptr<const Probed> probed = co_await prober_.Ask(entry, std::move(models));
  // Without a probe, a backend reports no revision, whatever its manifest says.
  if (probed == nullptr) probed = std::make_shared<const Probed>();
  co_await Take(entry, *probed);
  server.failure = probed->failure;
  const bool is_refused = probed->failure && NeedsHuman(probed->failure->outcome);
  server.refused_in_row = is_refused ? server.refused_in_row + 1 : 0;
  server.took = probed->took;
  server.is_asked = false;
  server.has_asked = server.forgotten == forgotten;
  server.asked_at = loop_.Now();
  changed_.NotifyAll();
}

Task<void> Revisions::Load(BackendEntry& entry) {
  for (const auto& target : models_.targets()) {
    if (&target->entry() != &entry) continue;
    auto record = co_await GetRecord<storage::v1::ModelRecord>(store_, KeyOf(*target));
    if (record.ok() && *record) known_[target.get()].revision = (*record)->revision();
  }
  cached_.clear();
}

Task<void> Revisions::Take(const BackendEntry& entry, const Probed& probed) {
  const bool is_final = probed.failure && IsFinal(*probed.failure);
  size_t place = 0;
  for (const auto& target : models_.targets()) {
    if (&target->entry() != &entry) continue;
    Known& known = known_[target.get()];
    if (probed.failure) {
      // A server that answers, but not to probes, may answer calls.
      if (is_final && !known.revision) known.revision = "";
      continue;
    }
    const backend::AskedModel asked =
        place < probed.state.asked.size() ? probed.state.asked[place] : backend::AskedModel();
    ++place;
    known.is_missing = !asked.problem.empty();
    if (!asked.revision.empty() && known.revision != asked.revision) {
      const bool has_changed = known.revision && !known.revision->empty();
      if (has_changed) spdlog::info("{}: the model has changed; earlier answers are not reused", target->Name());
      known.revision = asked.revision;
      cached_.clear();
      co_await Keep(*target);
    } else if (!known.revision) {
      known.revision = "";
    }
  }
  cached_.clear();
}

// If it can't be stored, it is known until the server ends.
Task<void> Revisions::Keep(const Target& target) {
  storage::v1::ModelRecord record;
  record.set_revision(*known_[&target].revision);
  record.set_time_micros(loop_.clock().WallMicros());
  WriteBatch batch;
  PutRecord(batch, KeyOf(target), record);
  const Status status = co_await store_.Commit(std::move(batch), CommitMode::kReadable);
  if (!status.ok()) spdlog::warn("{}: its revision could not be stored: {}", target.Name(), MessageOf(status));
}

bool Revisions::IsMissing(const Target& target) const {
  const auto known = known_.find(&target);
  return known != known_.end() && known->second.is_missing;
}

const backend::Failure* Revisions::FindFailure(const Alias& alias) const {
  for (const Route& route : alias.routes) {
    const auto server = servers_.find(&route.target->entry());
    if (server != servers_.end() && server->second.failure) return &*server->second.failure;
  }
  return nullptr;
}

std::vector<Blockage> Revisions::FindBlockages(const Alias& alias, int64_t refusals_min) const {
  std::vector<Blockage> blockages;
  for (const Route& route : alias.routes) {
    const auto server = servers_.find(&route.target->entry());
    // A probe in flight may show that the server was repaired.
    const bool is_blocked = IsUnknown(route) && server != servers_.end() && !server->second.is_asked &&
                            server->second.failure && server->second.refused_in_row >= refusals_min;
    if (!is_blocked) return {};
    blockages.push_back(BlockageOf(*route.target, *server->second.failure));
  }
  return blockages;
}

void Revisions::Forget(const Target& target) {
  const auto server = servers_.find(&target.entry());
  if (server != servers_.end()) {
    server->second.has_asked = false;
    ++server->second.forgotten;
  }
  known_[&target].is_awaited = false;
  changed_.NotifyAll();
}

}  // namespace millrace
