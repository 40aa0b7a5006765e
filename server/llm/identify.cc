// How the call layer learns which models answer: leases of runs, and calls that wait until the identities of their
// models are known.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "server/llm/advice.h"
#include "server/llm/calls.h"
#include "server/llm/classify.h"

namespace millrace {

class Calls::Unidentified {
 public:
  Unidentified(std::list<const Unidentified*>& all, const Alias& its_alias, std::string its_run)
      : alias(its_alias), run(std::move(its_run)), all_(all), place_(all.insert(all.end(), this)) {}
  Unidentified(const Unidentified&) = delete;
  ~Unidentified() { all_.erase(place_); }

  const Alias& alias;
  const std::string run;

 private:
  std::list<const Unidentified*>& all_;
  const std::list<const Unidentified*>::iterator place_;
};

Status Calls::CheckModel(std::string_view name) const {
  return models_.FindAlias(name) == nullptr ? models_.NoSuchModel(name) : absl::OkStatus();
}

Task<std::shared_ptr<ModelLease>> Calls::Look(std::vector<std::string> names) {
  auto lease = std::make_shared<ModelLease>();
  const TimePoint until = deps_.loop.Now() + Prober::kTimeMax;
  for (const std::string& name : names) {
    const Alias* const alias = models_.FindAlias(name);
    if (alias == nullptr) continue;
    while (!revisions_.IsFresh(*alias) && deps_.loop.Now() < until) {
      revisions_.Learn(*alias);
      co_await revisions_.changed().WaitUntil(until);
    }
    if (auto identities = revisions_.Find(*alias)) lease->identities.emplace(name, std::move(identities));
  }
  co_return lease;
}

Task<std::shared_ptr<ModelLease>> Calls::Lease(std::vector<std::string> names) {
  std::shared_ptr<ModelLease> lease = co_await Look(names);
  std::vector<Target*> used;
  for (const std::string& name : names) {
    const Alias* const alias = models_.FindAlias(name);
    if (alias == nullptr) continue;
    if (PullMissing(*alias)) {
      lease->identities.erase(name);
      if (auto identities = revisions_.Find(*alias)) lease->identities.emplace(name, std::move(identities));
    }
    for (const Route& route : alias->routes) {
      // A target of lower priority is used only if the first ones fail.
      const bool is_first = route.priority == alias->routes.front().priority;
      if (is_first && std::find(used.begin(), used.end(), route.target) == used.end()) used.push_back(route.target);
    }
  }
  lease->use = upkeeper_.Use(std::move(used));
  co_return lease;
}

StatusOr<std::string> Calls::Identity(std::string_view name, const ModelLease& lease) const {
  const Alias* const alias = models_.FindAlias(name);
  if (alias == nullptr) return models_.NoSuchModel(name);
  const auto leased = lease.identities.find(name);
  const std::shared_ptr<const Identities> identities =
      leased != lease.identities.end() ? leased->second : revisions_.FindOrInvent(*alias);
  std::string text;
  for (const std::string& identity : *identities) text += fmt::format("{}{}", text.empty() ? "" : "\n", identity);
  return text;
}

bool Calls::PullMissing(const Alias& alias) {
  bool is_pulling = false;
  for (const Route& route : alias.routes) {
    if (!revisions_.IsMissing(*route.target) || !upkeeper_.Pull(*route.target)) continue;
    revisions_.Await(*route.target);
    is_pulling = true;
  }
  return is_pulling;
}

Task<std::shared_ptr<const Identities>> Calls::Identify(const Alias& alias, CallContext context) {
  if (context.models) {
    const auto leased = context.models->identities.find(alias.name);
    if (leased != context.models->identities.end()) co_return leased->second;
  }
  const auto is_stopped = [&context] { return context.stop != nullptr && context.stop->stopped(); };
  std::optional<StopSignal::Watch> watch;
  if (context.stop) watch.emplace(*context.stop, [this] { revisions_.changed().NotifyAll(); });
  const Unidentified waiting(unidentified_, alias, context.run);
  const TimePoint begin = deps_.loop.Now();
  while (!is_stopped() && !queue_.closed()) {
    revisions_.Learn(alias);
    if (revisions_.IsFresh(alias)) {
      PullMissing(alias);
      if (auto identities = revisions_.Find(alias)) {
        if (context.models) context.models->identities.emplace(alias.name, identities);
        co_return identities;
      }
      // Only now: an old probe says nothing about a server that was repaired since.
      if (!FindBlockages(alias, context).empty()) break;
    }
    TimePoint until = context.deadline;
    if (revisions_.FindFailure(alias) != nullptr) until = std::min(until, begin + context.max_elapsed);
    if (deps_.loop.Now() >= until) break;
    co_await revisions_.changed().WaitUntil(std::min(until, revisions_.NextProbe(alias)));
  }
  co_return nullptr;
}

// One refusal is enough for a Generate call. A run pauses, so that it wants to be as sure as with attempts.
std::vector<Blockage> Calls::FindBlockages(const Alias& alias, const CallContext& context) const {
  return revisions_.FindBlockages(alias, context.run.empty() ? 1 : Refusals::kInRowMin);
}

CallOutcome Calls::NotIdentified(const Alias& alias, const CallContext& context) const {
  CallOutcome outcome;
  outcome.stopped = IsStopped(context) || (queue_.closed() && !context.run.empty());
  if (outcome.stopped) return outcome;
  std::vector<Blockage> blockages = FindBlockages(alias, context);
  if (blockages.empty()) {
    outcome.status = WhyNotIdentified(alias);
    return outcome;
  }
  outcome.status = ErrorOf(blockages.front());
  outcome.stopped = !context.run.empty();
  if (outcome.stopped) outcome.blockages = std::move(blockages);
  return outcome;
}

Task<StatusOr<EmbedPlan>> Calls::PlanEmbedding(std::string name, CallContext context) {
  const Alias* const alias = models_.FindAlias(name);
  if (alias == nullptr) co_return models_.NoSuchModel(name);
  auto models = context.models ? context.models : std::make_shared<ModelLease>();
  context.models = models;
  const std::shared_ptr<StopSignal> stop = context.stop;
  std::shared_ptr<const Identities> identities = alias->identities;
  if (identities == nullptr) identities = co_await Identify(*alias, std::move(context));
  if (identities == nullptr) {
    const bool is_stopped = stop != nullptr && stop->stopped();
    if (is_stopped) co_return MakeError(Reason::kCancelled, "the client left");
    const std::vector<Blockage> blockages = revisions_.FindBlockages(*alias, 1);
    if (!blockages.empty()) co_return ErrorOf(blockages.front());
    co_return WhyNotIdentified(*alias);
  }
  MR_CO_ASSIGN_OR_RETURN(EmbedPlan plan, millrace::Models::PlanEmbedding(*alias, *identities));
  plan.models = std::move(models);
  co_return plan;
}

Status Calls::WhyNotIdentified(const Alias& alias) const {
  if (queue_.closed()) return MakeError(Reason::kDraining, "the server is going down");
  if (const backend::Failure* const failure = revisions_.FindFailure(alias)) {
    return WithContext(ErrorAt(*alias.routes.front().target, *failure), "until the time limit");
  }
  return MakeError(Reason::kDeadline, "no answer within the time limit");
}

CallTraffic::FailingTarget Calls::FindUnidentified(std::string_view run) const {
  for (const Unidentified* const waiting : unidentified_) {
    if (waiting->run != run) continue;
    const Target& target = *waiting->alias.routes.front().target;
    if (const backend::Failure* const failure = revisions_.FindFailure(waiting->alias)) {
      return {.name = target.Name(), .error = std::string(MessageOf(ErrorOf(*failure))), .progress = {}};
    }
    if (std::string progress = upkeeper_.PullProgress(target); !progress.empty()) {
      return {.name = target.Name(), .error = {}, .progress = std::move(progress)};
    }
  }
  return {};
}

}  // namespace millrace
