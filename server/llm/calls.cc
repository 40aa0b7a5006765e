#include "server/llm/calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/base/duration.h"
#include "server/llm/classify.h"
#include "server/llm/inline.h"
#include "server/storage/answers.h"
#include "server/storage/ledger.h"

namespace millrace {
namespace {

constexpr int32_t kConcurrencyDefault = 8;

Status WrongConfig(std::string_view message) { return MakeError(Reason::kInvalidDefinition, message); }

// Which calls are one: the same question to the same models, under the same rules for what may be reused and repaired.
Digest SharedKey(const Alias& alias, const CallContext& context, const CallRequest& request, std::string_view canonical,
                 const std::optional<Duration>& ttl) {
  Digester digester;
  for (const Route& route : alias.routes) digester.AddPart(route.identity).AddPart(route.target->Name());
  digester.AddPart(canonical);
  digester.AddNumber(static_cast<uint64_t>(request.question.sample_number));
  digester.AddNumber(static_cast<uint64_t>(request.repairs));
  digester.AddNumber(context.look_up ? 1 : 0);
  digester.AddNumber(static_cast<uint64_t>(ttl ? ttl->count() : -1));
  return digester.Finish();
}

size_t BytesOf(const CallProgress& progress) {
  size_t bytes = 0;
  for (const NewAnswer& answer : progress.answers) bytes += answer.record.text().size();
  for (const auto& [key, question] : progress.questions) bytes += question.request().size();
  return bytes;
}

// Who asks for one answer, beside a run that waits until people have mended the targets, is told what is wrong.
bool IsTold(const CallInFlight& call, const CallContext& context) { return context.run.empty() && call.is_refused; }

}  // namespace

Calls::Calls(CallsParts parts, Random random, std::vector<std::unique_ptr<BackendEntry>> backends, HostLimits limits)
    : parts_(parts),
      random_(std::move(random)),
      names_(parts.loop.clock(), random_),
      backends_(std::move(backends)),
      host_(parts.loop, parts.pool, parts.http, limits),
      cache_(parts.loop, parts.store),
      queue_(parts.loop, parts.store),
      claims_(parts.loop),
      ended_(parts.loop) {
  std::sort(backends_.begin(), backends_.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
}

Calls::~Calls() = default;

Status Calls::AddAlias(const v1::ModelConfig& config) {
  if (aliases_.contains(config.name()))
    return WrongConfig(fmt::format("model {}: it stands there twice", config.name()));
  if (config.targets().empty()) return WrongConfig(fmt::format("model {}: it has no target", config.name()));
  Alias alias;
  alias.name = config.name();
  for (const v1::TargetConfig& target_config : config.targets()) {
    const auto entry = std::find_if(backends_.begin(), backends_.end(),
                                    [&](const auto& candidate) { return candidate->name == target_config.backend(); });
    if (entry == backends_.end()) {
      return WrongConfig(fmt::format("model {}: no backend {}", config.name(), Excerpt(target_config.backend())));
    }
    const int32_t concurrency =
        target_config.limits().max_concurrency() > 0 ? target_config.limits().max_concurrency() : kConcurrencyDefault;
    auto known = std::find_if(targets_.begin(), targets_.end(), [&](const auto& target) {
      return target->entry == entry->get() && target->model == target_config.model();
    });
    if (known == targets_.end()) {
      auto target = std::make_unique<Target>(parts_.loop);
      target->entry = entry->get();
      target->model = target_config.model();
      target->max_concurrency = concurrency;
      targets_.push_back(std::move(target));
      known = std::prev(targets_.end());
    } else if ((*known)->max_concurrency != concurrency) {
      return WrongConfig(fmt::format("model {}: the limits of {} differ from those that another model gives it",
                                     config.name(), (*known)->Name()));
    }
    const backend::Manifest& manifest = (*entry)->backend->manifest();
    const ModelIdentity identity{.protocol_family = manifest.protocol_family,
                                 .model = target_config.model(),
                                 .revision = target_config.revision(),
                                 .dialect_version = manifest.dialect_version};
    alias.routes.push_back(
        {.target = known->get(), .priority = target_config.priority(), .identity = CanonicalIdentity(identity)});
  }
  std::stable_sort(alias.routes.begin(), alias.routes.end(),
                   [](const Route& a, const Route& b) { return a.priority < b.priority; });
  if (config.retry().max_attempts() > 0) alias.retry.attempts_max = config.retry().max_attempts();
  if (config.retry().has_initial_backoff()) alias.retry.backoff_initial = ToDuration(config.retry().initial_backoff());
  if (config.retry().has_max_backoff()) alias.retry.backoff_max = ToDuration(config.retry().max_backoff());
  const v1::Timeouts& timeouts = config.timeout();
  if (timeouts.has_connect()) alias.timeouts.connect = ToDuration(timeouts.connect());
  if (timeouts.has_first_byte()) alias.timeouts.first_byte = ToDuration(timeouts.first_byte());
  if (timeouts.has_idle()) alias.timeouts.idle = ToDuration(timeouts.idle());
  if (timeouts.has_total()) alias.timeouts.total = ToDuration(timeouts.total());
  if (config.cache().has_ttl()) alias.ttl = ToDuration(config.cache().ttl());
  if (config.on_unknown() == v1::ON_UNKNOWN_FAIL) alias.on_unknown = UnknownPolicy::kFail;
  aliases_.emplace(alias.name, std::move(alias));
  return absl::OkStatus();
}

const Alias* Calls::FindAlias(std::string_view name) const {
  const auto found = aliases_.find(name);
  return found == aliases_.end() ? nullptr : &found->second;
}

Task<CallOutcome> Calls::Handle(CallContext context, CallRequest request) {
  CallOutcome outcome;
  if (context.stop && context.stop->stopped()) {
    outcome.stopped = true;
    co_return outcome;
  }
  const Alias* alias = FindAlias(request.model_alias);
  if (alias == nullptr) {
    outcome.status =
        MakeError(Reason::kModelNotFound, fmt::format("no model {} is configured", Excerpt(request.model_alias)));
    co_return outcome;
  }
  std::optional<Duration> ttl = alias->ttl;
  if (context.cache_ttl) ttl = ttl ? std::min(*ttl, *context.cache_ttl) : *context.cache_ttl;
  std::string canonical = CanonicalRequest(request.question);
  const Digest key = SharedKey(*alias, context, request, canonical, ttl);

  CallWaiter waiter(parts_.loop, context);
  std::shared_ptr<CallInFlight> call = table_.Find(key);
  const bool is_new = call == nullptr;
  if (is_new) {
    call = std::make_shared<CallInFlight>(parts_.loop, key, std::move(request), std::move(canonical), *alias);
    call->look_up = context.look_up;
    call->ttl = ttl;
    table_.Add(call);
  }
  // The waiter must not stay in the call's list when this coroutine goes.
  struct Place {
    CallInFlight& call;
    CallWaiter* waiter;
    ~Place() { call.waiters.remove(waiter); }
  };
  {
    call->waiters.push_back(&waiter);
    const Place place{*call, &waiter};
    std::optional<StopSignal::Watch> watch;
    if (context.stop) watch.emplace(*context.stop, [&waiter] { waiter.changed.NotifyAll(); });
    if (is_new) {
      parts_.loop.Spawn(Run(call));
    } else {
      call->changed.NotifyAll();  // the priority may be higher now
    }
    bool is_late = false;
    while (!call->finished && !is_late && !IsTold(*call, context) && !(context.stop && context.stop->stopped())) {
      TimePoint until = context.deadline;
      if (call->has_failed) until = std::min(until, call->first_attempt + context.max_elapsed);
      is_late = !co_await waiter.changed.WaitUntil(until);
    }
  }
  if (call->finished) {
    if (call->drained) {
      outcome.stopped = context.stop != nullptr;
      outcome.status = call->result.status;
      co_return outcome;
    }
    co_return co_await Outcome(call, call->payer == &waiter, context);
  }
  const bool was_last = call->IsAbandoned();
  call->changed.NotifyAll();
  if (context.stop && context.stop->stopped()) {
    outcome.stopped = true;
    co_return outcome;
  }
  co_return co_await GiveUp(call, was_last, context);
}

Task<void> Calls::Run(std::shared_ptr<CallInFlight> call) {
  const CallParts parts{parts_.loop, parts_.pool, parts_.store, cache_, queue_, claims_, host_, names_, random_};
  bool has_ended = false;
  while (true) {
    if (!has_ended) {
      CallLife life(parts, *call);
      has_ended = co_await life.Live();
    }
    const bool is_claimed = !call->IsAbandoned() && !call->drained;
    if (is_claimed && has_ended) break;
    if (is_claimed) continue;  // somebody came while it was being given up
    co_await KeepUnclaimed(*call);
    if (call->IsAbandoned() || call->drained) break;
  }
  table_.Remove(call->key);
  call->finished = has_ended;
  if (!call->waiters.empty()) {
    call->payer = call->waiters.front();
    call->settled_for = {.run = call->payer->context.run, .remember = call->payer->context.remember};
  }
  for (CallWaiter* waiter : call->waiters) waiter->changed.NotifyAll();
  ended_.NotifyAll();
}

// Nobody takes the outcome: what was paid stays as pending attempts, and whoever asks next finds them, with their
// costs.
Task<void> Calls::KeepUnclaimed(CallInFlight& call) {
  if (call.progress.unsettled.empty()) co_return;
  // Each has the totals of its time; the newest those of the whole call.
  *call.progress.unsettled.back().second.mutable_totals() = call.progress.totals;
  WriteBatch batch;
  for (auto& [key, record] : call.progress.unsettled) {
    if (record.attempt().outcome() == v1::ATTEMPT_OUTCOME_ANSWERED_BAD) {
      record.mutable_attempt()->set_outcome(v1::ATTEMPT_OUTCOME_ANSWERED);  // judged again by who takes it
    }
    PutPending(batch, key, record);
  }
  co_await CommitFirmly(parts_.loop, parts_.store, std::move(batch), CommitMode::kReadable);
}

Task<CallOutcome> Calls::Outcome(std::shared_ptr<CallInFlight> call, bool is_payer, const CallContext& context) {
  const CallResult& result = call->result;
  CallOutcome outcome;
  outcome.status = result.status;
  outcome.text = result.text;
  outcome.call_keys = call->progress.call_keys;
  outcome.coalesced = !is_payer;
  if (result.status.ok()) {
    outcome.backend = result.answer.backend();
    outcome.model = result.answer.model();
    outcome.cache_hit = result.from_memory;
    outcome.input_tokens = result.answer.input_tokens();
    outcome.output_tokens = result.answer.output_tokens();
    if (result.answer.has_cost_nano_usd()) outcome.cost_nano_usd = result.answer.cost_nano_usd();
  }
  const Payer self{.run = context.run, .remember = context.remember};
  if (!is_payer) {
    outcome.totals.set_calls(1);
    outcome.totals.set_coalesced(1);
    outcome.settlement = SettleFollower(result, call->settled_for, self);
    co_return outcome;
  }
  outcome.totals = call->progress.totals;
  outcome.attempts = call->progress.attempts;
  if (BytesOf(call->progress) <= kInlineBytesMax) {
    outcome.settlement = Settle(call->progress, result, self);
  } else {
    auto settle = [call, self] { return Settle(call->progress, call->result, self); };
    outcome.settlement = co_await Compute(parts_.loop, parts_.pool, std::move(settle));
  }
  for (const auto& claim : call->claims) outcome.settlement.Keep(claim);
  co_return outcome;
}

// The deadline passed, or nobody can answer it as things are. The last waiter takes what the call has cost so far; an
// attempt in flight goes on, and is found by whoever asks next.
Task<CallOutcome> Calls::GiveUp(std::shared_ptr<CallInFlight> call, bool was_last, const CallContext& context) {
  CallOutcome outcome;
  outcome.status = IsTold(*call, context) ? ErrorOf(*call->failure) : DeadlinePassed(*call);
  outcome.call_keys = call->progress.call_keys;
  if (!was_last) {
    outcome.totals.set_calls(1);
    outcome.totals.set_coalesced(1);
    outcome.coalesced = true;
    co_return outcome;
  }
  CallProgress taken = std::exchange(call->progress, CallProgress());
  outcome.totals = taken.totals;
  outcome.attempts = taken.attempts;
  if (call->asked_key) {
    std::erase(taken.pending, *call->asked_key);
    call->progress.AddKey(*call->asked_key);
    call->progress.AddPending(*call->asked_key);
    // Its answer may be there already, and be judged: that is not settled without its verdict.
    const auto is_judged = [&call](const auto& entry) {
      return entry.first == *call->asked_key && HasAnswer(entry.second.attempt());
    };
    std::copy_if(taken.unsettled.begin(), taken.unsettled.end(), std::back_inserter(call->progress.unsettled),
                 is_judged);
    std::erase_if(taken.unsettled, is_judged);
  }
  const Payer self{.run = context.run, .remember = context.remember};
  CallResult failed;
  failed.status = outcome.status;
  outcome.settlement = Settle(taken, failed, self);
  for (const auto& claim : call->claims) outcome.settlement.Keep(claim);
  co_return outcome;
}

Status Calls::DeadlinePassed(const CallInFlight& call) const {
  if (call.failure) return WithContext(ErrorOf(*call.failure), "until the time limit");
  if (parts_.store.state() == StoreState::kDiskLow) {
    return MakeError(Reason::kDiskLow, "the disk is nearly full: no call is made");
  }
  return MakeError(Reason::kDeadline, "no answer within the time limit");
}

StatusOr<std::string> Calls::Identity(std::string_view name) const {
  const Alias* alias = FindAlias(name);
  if (alias == nullptr) {
    return MakeError(Reason::kModelNotFound, fmt::format("no model {} is configured", Excerpt(name)));
  }
  std::string text;
  for (const Route& route : alias->routes) text += fmt::format("{}{}", text.empty() ? "" : "\n", route.identity);
  return text;
}

Task<StatusOr<bool>> Calls::IsRemembered(CallContext context, CallRequest request) {
  const Alias* alias = FindAlias(request.model_alias);
  if (alias == nullptr) {
    co_return MakeError(Reason::kModelNotFound, fmt::format("no model {} is configured", Excerpt(request.model_alias)));
  }
  const std::string canonical = CanonicalRequest(request.question);
  std::vector<Digest> keys;
  for (const Route& route : alias->routes) {
    keys.push_back(CallKey(route.identity, canonical, request.question.sample_number));
  }
  std::optional<Duration> ttl = alias->ttl;
  if (context.cache_ttl) ttl = ttl ? std::min(*ttl, *context.cache_ttl) : *context.cache_ttl;
  LookUpRules rules{.run = context.run, .earlier_runs = context.look_up, .ttl = ttl, .counted = false};
  const Found found = co_await cache_.LookUp(std::move(keys), std::move(rules));
  bool is_remembered = found.answer.has_value();
  for (const auto& pending : found.pending) {
    is_remembered |= pending && pending->attempt().outcome() == v1::ATTEMPT_OUTCOME_ANSWERED;
  }
  co_return is_remembered;
}

bool Calls::HasKnownCost(std::string_view name) const {
  const Alias* alias = FindAlias(name);
  return alias != nullptr && std::all_of(alias->routes.begin(), alias->routes.end(), [](const Route& route) {
           return route.target->entry->backend->manifest().free_of_charge;
         });
}

v1::ListModelsResponse Calls::Models() const {
  v1::ListModelsResponse response;
  for (const auto& [name, alias] : aliases_) {
    v1::ModelInfo& model = *response.add_models();
    model.set_name(name);
    for (const Route& route : alias.routes) {
      v1::TargetInfo& target = *model.add_targets();
      target.set_backend(route.target->entry->name);
      target.set_model(route.target->model);
      target.set_max_concurrency(route.target->max_concurrency);
      target.set_in_flight(route.target->in_flight);
      target.set_waiting(route.target->waiting);
    }
  }
  return response;
}

v1::ListBackendsResponse Calls::Backends() const {
  v1::ListBackendsResponse response;
  for (const auto& entry : backends_) {
    v1::BackendInfo& backend = *response.add_backends();
    backend.set_name(entry->name);
    backend.set_kind(entry->backend->manifest().kind);
    backend.set_description(entry->backend->manifest().description);
  }
  return response;
}

int64_t Calls::in_flight() const {
  int64_t count = 0;
  for (const auto& target : targets_) count += target->in_flight;
  return count;
}

CallDesk::FailingTarget Calls::FindFailing(std::string_view run) const {
  // Most of the time none fails, and no call is looked at.
  const auto fails = [](const auto& target) { return target->failures > 0; };
  if (std::none_of(targets_.begin(), targets_.end(), fails)) return {};
  for (const auto& [key, call] : table_.calls()) {
    if (call->failing == nullptr) continue;
    for (const CallWaiter* waiter : call->waiters) {
      if (waiter->context.run != run) continue;
      return {call->failing->Name(), call->failure ? std::string(MessageOf(ErrorOf(*call->failure))) : ""};
    }
  }
  return {};
}

Task<StatusOr<v1::CacheStats>> Calls::AnswerStats() {
  const auto size = co_await AnswersSize(parts_.store);
  if (!size.ok()) co_return size.status();
  v1::CacheStats stats;
  stats.set_entries(size->entries);
  stats.set_bytes(size->bytes);
  stats.set_hits(cache_.hits());
  stats.set_misses(cache_.misses());
  stats.set_corrupt(cache_.corrupt());
  co_return stats;
}

Task<StatusOr<int64_t>> Calls::EvictAnswers(std::optional<Duration> older_than, std::string target,
                                            std::function<bool(const std::string& run)> in_use) {
  EvictionFilter filter;
  if (older_than) {
    filter.older_than_micros =
        parts_.loop.clock().WallMicros() - std::chrono::duration_cast<std::chrono::microseconds>(*older_than).count();
  }
  filter.target = std::move(target);
  filter.in_use = std::move(in_use);
  auto evicted = co_await millrace::EvictAnswers(parts_.store, std::move(filter));
  co_return evicted;
}

Task<void> Calls::Drain(TimePoint deadline) {
  queue_.Close();
  table_.WakeAll();
  while (!table_.calls().empty()) {
    if (const bool held = co_await ended_.WaitUntil(deadline); !held) co_return;
  }
}

StatusOr<std::unique_ptr<Calls>> MakeCalls(CallsParts parts, Random random,
                                           std::vector<std::unique_ptr<BackendEntry>> backends,
                                           const v1::ServerConfig& config) {
  HostLimits limits;
  if (config.limits().max_response_bytes() > 0) {
    limits.response_bytes_max = static_cast<size_t>(config.limits().max_response_bytes());
  }
  auto calls = std::make_unique<Calls>(parts, std::move(random), std::move(backends), limits);
  for (const v1::ModelConfig& model : config.models()) MR_RETURN_IF_ERROR(calls->AddAlias(model));
  return calls;
}

}  // namespace millrace
