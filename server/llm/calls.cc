#include "server/llm/calls.h"

#include <algorithm>
#include <utility>

#include "server/base/run_if_long.h"
#include "server/llm/advice.h"
#include "server/llm/classify.h"
#include "server/llm/key.h"
#include "server/llm/runner.h"
#include "server/llm/vectors.h"
#include "server/storage/answers.h"

// GCC 12 takes the frames of coroutines for memory of another allocator (see server/llm/host.cc).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

// The policies of an alias under which all callers of a call wait and pay.
void AddPolicies(Digester& digester, const Alias& alias) {
  const RetryPolicy& retry = alias.retry;
  digester.AddNumber(static_cast<uint64_t>(retry.max_attempts));
  digester.AddNumber(static_cast<uint64_t>(retry.max_extra.value_or(-1)));
  digester.AddNumber(retry.on_unknown == UnknownPolicy::kFail ? 1 : 0);
  const CallTimeouts& timeouts = alias.timeouts;
  for (const Duration time : {retry.initial_backoff, retry.max_backoff, timeouts.connect, timeouts.first_byte,
                              timeouts.idle, timeouts.total}) {
    digester.AddNumber(static_cast<uint64_t>(time.count()));
  }
}

// Returns the key of calls that are one: the same question to the same models, under the same rules for what may be
// reused, repaired, retried and billed.
Digest SharedKey(const Alias& alias, const Identities& identities, const CallContext& context,
                 const CallRequest& request, std::string_view canonical, const std::optional<Duration>& ttl) {
  Digester digester;
  for (size_t i = 0; i < alias.routes.size(); ++i) {
    digester.AddPart(identities[i]).AddPart(alias.routes[i].target->Name());
    digester.AddNumber(static_cast<uint64_t>(alias.routes[i].priority));
  }
  AddPolicies(digester, alias);
  digester.AddPart(canonical);
  digester.AddNumber(static_cast<uint64_t>(request.question.sample_number));
  digester.AddNumber(static_cast<uint64_t>(request.repairs));
  digester.AddNumber(context.look_up ? 1 : 0);
  digester.AddNumber(static_cast<uint64_t>(ttl ? ttl->count() : -1));
  return digester.Finish();
}

// A request with its canonical form and the digest of that: of a long prompt, they take milliseconds.
struct WrittenRequest {
  CallRequest request;
  std::string canonical;
  Digest digest;
};
WrittenRequest WriteDown(CallRequest request) {
  std::string canonical = request.texts ? CanonicalBatch(request.texts->keys) : CanonicalRequest(request.question);
  const Digest digest = Digest::Of(canonical);
  return {.request = std::move(request), .canonical = std::move(canonical), .digest = digest};
}

std::optional<Duration> LargestAge(const Alias& alias, const CallContext& context) {
  if (!context.cache_ttl) return alias.ttl;
  return alias.ttl ? std::min(*alias.ttl, *context.cache_ttl) : *context.cache_ttl;
}

// A pull reports its progress for hours. Its lines are not kept.
constexpr HostLimits kErrandLimits{.response_bytes_max = 1u << 30};

}  // namespace

Calls::Calls(CallDeps deps, Random random, std::vector<std::unique_ptr<BackendEntry>> backends, HostLimits limits)
    : deps_(deps),
      random_(std::move(random)),
      names_(deps.loop.clock(), random_),
      models_(deps.loop, std::move(backends)),
      host_(deps.loop, deps.pool, deps.http, limits, &deps.slow()),
      errand_host_(deps.loop, deps.pool, deps.http, kErrandLimits),
      sender_(host_),
      prober_(deps.loop, host_),
      cache_(deps.loop, deps.store),
      queue_(deps.loop, deps.store),
      revisions_(deps.loop, deps.store, models_, prober_),
      upkeeper_(deps.loop, queue_, errand_host_, [this](Target& target) { revisions_.Forget(target); }),
      schemas_(deps.loop, deps.slow()),
      numbers_(deps.loop, deps.store),
      claims_(deps.loop),
      ended_(deps.loop) {}

Calls::~Calls() = default;

Task<CallOutcome> Calls::Handle(CallContext context, CallRequest request) {
  CallOutcome outcome;
  outcome.stopped = IsStopped(context);
  if (outcome.stopped) co_return outcome;
  const Alias* alias = models_.FindAlias(request.model_alias);
  if (alias == nullptr) {
    outcome.status = models_.NoSuchModel(request.model_alias);
    co_return outcome;
  }
  std::shared_ptr<const Identities> identities = alias->identities;
  if (identities == nullptr) {
    CallContext copy = context;
    identities = co_await Identify(*alias, std::move(copy));
  }
  if (identities == nullptr) co_return NotIdentified(*alias, context);
  const std::optional<Duration> ttl = LargestAge(*alias, context);
  size_t bytes = request.question.output_schema.size();
  for (const backend::Message& message : request.question.messages) bytes += message.content.size();
  auto write_down = [request = std::move(request)]() mutable { return WriteDown(std::move(request)); };
  WrittenRequest written = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(write_down));
  request = std::move(written.request);
  const Digest key = SharedKey(*alias, *identities, context, request, written.digest.bytes(), ttl);

  CallWaiter waiter(deps_.loop, context);
  std::shared_ptr<CallInFlight> call = table_.Find(key);
  const bool is_new = call == nullptr;
  if (is_new) {
    CallQuestion question{.key = key,
                          .request = std::move(request),
                          .canonical = std::move(written.canonical),
                          .alias = *alias,
                          .identities = std::move(identities),
                          .look_up = context.look_up,
                          .ttl = ttl};
    call = std::make_shared<CallInFlight>(deps_.loop, std::move(question));
    table_.Add(call);
  }
  {
    const Waiters::Place place(call->waiters, waiter);
    std::optional<StopSignal::Watch> watch;
    if (context.stop) watch.emplace(*context.stop, [&waiter] { waiter.changed.NotifyAll(); });
    if (is_new) {
      deps_.loop.Spawn(Run(call));
    } else {
      call->partial_text.Join(context);
      call->changed.NotifyAll();  // the priority may be higher now
    }
    bool is_late = false;
    while (!call->is_finished() && !is_late && !IsStopped(context)) {
      TimePoint until = context.deadline;
      if (call->trouble.has_failed()) until = std::min(until, call->first_attempt() + context.max_elapsed);
      is_late = !co_await waiter.changed.WaitUntil(until);
    }
  }
  if (call->is_finished()) {
    if (!call->is_unsettled()) co_return co_await OutcomeOf(call, call->IsPaidBy(waiter), context);
    outcome.stopped = !context.run.empty();
    outcome.status = call->result.status;
    outcome.blockages = call->blockages();
    co_return outcome;
  }
  const bool was_last = call->waiters.empty();
  if (was_last && context.deltas) call->StopStream();
  call->changed.NotifyAll();
  outcome.stopped = IsStopped(context);
  if (outcome.stopped) co_return outcome;
  co_return GiveUp(*call, was_last, context);
}

Task<void> Calls::Run(std::shared_ptr<CallInFlight> call) {
  const RunnerDeps deps{deps_.loop, deps_.pool, deps_.slow(), deps_.store, cache_, queue_,
                        claims_,    schemas_,   numbers_,     sender_,     names_, random_};
  co_await numbers_.Load();
  bool has_ended = false;
  while (true) {
    if (!has_ended) {
      CallRunner runner(deps, *call);
      has_ended = co_await runner.Run();
    }
    const bool is_wanted = !call->waiters.empty() && !call->is_unsettled();
    if (is_wanted && has_ended) break;
    if (is_wanted) continue;  // somebody joined while it was being given up
    // Nobody takes the outcome. Whoever asks next finds the paid attempts, with their costs.
    WriteBatch kept = call->progress.KeepPending();
    if (!kept.empty()) co_await CommitFirmly(deps_.loop, deps_.store, std::move(kept), CommitMode::kReadable);
    if (call->waiters.empty() || call->is_unsettled()) break;
  }
  table_.Remove(call->question.key);
  if (!call->waiters.empty() && !call->is_unsettled()) {
    const CallContext& payer = call->waiters.payer().context;
    call->KeepCounted(settling_.Hold(payer.run, payer.stage, call->progress.tally.BegunFor(payer.run)));
  }
  call->Finish(has_ended);
  ended_.NotifyAll();
}

Task<CallOutcome> Calls::OutcomeOf(std::shared_ptr<CallInFlight> call, bool is_payer, const CallContext& context) {
  const CallResult& result = call->result;
  CallOutcome outcome;
  outcome.status = result.status;
  outcome.text = result.text;
  outcome.vectors = result.vectors;
  outcome.call_keys = call->progress.call_keys();
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
    outcome.totals = Tally::Joined();
    outcome.settlement.batch = SettleFollower(result, call->settled_for(), self, numbers_.Take(1));
    co_return outcome;
  }
  outcome.totals = call->progress.tally.TotalsFor(context.run);
  outcome.attempts = call->progress.tally.AttemptsFor(context.run);
  const std::optional<TextBatch>& texts = call->question.request.texts;
  const int64_t needed = call->progress.NumbersNeeded();
  const int64_t first_number = numbers_.Take(needed + (texts ? static_cast<int64_t>(texts->keys.size()) : 0));
  auto settle = [call, self, first_number, needed] {
    WriteBatch batch = call->progress.Settle(call->result, self, first_number);
    const std::optional<TextBatch>& embedded = call->question.request.texts;
    if (embedded) SettleTexts(batch, *embedded, call->result, self.run, first_number + needed);
    return batch;
  };
  const size_t bytes = call->progress.bytes() + BytesOf(result.vectors);
  outcome.settlement.batch = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(settle));
  outcome.settlement.claims = call->claims();
  co_return outcome;
}

// The deadline passed. The last waiter takes what the call has cost so far; an attempt in flight continues, and is
// found by whoever asks next.
CallOutcome Calls::GiveUp(CallInFlight& call, bool was_last, const CallContext& context) {
  CallOutcome outcome;
  outcome.status = DeadlinePassed(call);
  outcome.call_keys = call.progress.call_keys();
  if (!was_last) {
    outcome.totals = Tally::Joined();
    outcome.coalesced = true;
    return outcome;
  }
  CallProgress taken = call.progress.TakeEnded(call.asked_key());
  outcome.totals = taken.tally.TotalsFor(context.run);
  outcome.attempts = taken.tally.AttemptsFor(context.run);
  CallResult failed;
  failed.status = outcome.status;
  outcome.settlement.batch =
      taken.Settle(failed, {.run = context.run, .remember = context.remember}, numbers_.Take(taken.NumbersNeeded()));
  const std::optional<TextBatch>& texts = call.question.request.texts;
  // An attempt in flight is found by its texts.
  if (texts && !call.asked_key()) SettleTexts(outcome.settlement.batch, *texts, failed, context.run, 0);
  outcome.settlement.claims = call.claims();
  const AttemptCounts counts{.attempts = outcome.totals.attempts(), .maybe_billed = outcome.totals.maybe_billed()};
  if (auto held = settling_.Hold(context.run, context.stage, counts)) {
    outcome.settlement.claims.push_back(std::move(held));
  }
  return outcome;
}

Status Calls::DeadlinePassed(const CallInFlight& call) const {
  if (const std::optional<backend::Failure>& failure = call.trouble.failure()) {
    const Target* const target = call.trouble.failing();
    return WithContext(target == nullptr ? ErrorOf(*failure) : ErrorAt(*target, *failure), "until the time limit");
  }
  if (deps_.store.state() == StoreState::kDiskLow) {
    return MakeError(Reason::kDiskLow, "the disk is nearly full: no call is made");
  }
  return MakeError(Reason::kDeadline, "no answer within the time limit");
}

Task<StatusOr<bool>> Calls::IsRemembered(CallContext context, CallRequest request) {
  const Alias* alias = models_.FindAlias(request.model_alias);
  if (alias == nullptr) co_return models_.NoSuchModel(request.model_alias);
  std::shared_ptr<const Identities> identities = alias->identities;
  if (identities == nullptr && context.models) {
    const auto leased = context.models->identities.find(alias->name);
    if (leased != context.models->identities.end()) identities = leased->second;
  }
  if (identities == nullptr) co_return false;  // of a model that was never known nothing is remembered
  const std::string canonical = CanonicalRequest(request.question);
  std::vector<Digest> keys;
  for (const std::string& identity : *identities) {
    keys.push_back(CallKey(identity, canonical, request.question.sample_number));
  }
  LookUpRules rules{
      .run = context.run, .earlier_runs = context.look_up, .ttl = LargestAge(*alias, context), .counted = false};
  const Found found = co_await cache_.LookUp(std::move(keys), std::move(rules));
  bool is_remembered = found.answer.has_value();
  for (const auto& pending : found.pending) {
    is_remembered |= pending && pending->attempt().outcome() == v1::ATTEMPT_OUTCOME_ANSWERED;
  }
  co_return is_remembered;
}

int64_t Calls::in_flight() const {
  int64_t count = 0;
  for (const auto& target : models_.targets()) count += target->in_flight();
  return count;
}

CallTraffic::FailingTarget Calls::FindFailing(std::string_view run) const {
  if (FailingTarget failing = FindUnidentified(run); !failing.name.empty()) return failing;
  // Usually none fails: then no call is looked at.
  const auto fails = [](const auto& target) { return target->is_failing(); };
  if (std::none_of(models_.targets().begin(), models_.targets().end(), fails)) return {};
  for (const auto& [key, call] : table_.calls()) {
    const CallTrouble& trouble = call->trouble;
    if (trouble.failing() == nullptr || !call->waiters.HasRun(run)) continue;
    return {.name = trouble.failing()->Name(),
            .error = trouble.failure() ? std::string(MessageOf(ErrorOf(*trouble.failure()))) : "",
            .progress = {}};
  }
  return {};
}

CallTraffic::WaitingCall Calls::FindWaiting(const std::string& run) const {
  const Queue::Wait wait = queue_.FindWait(run);
  if (wait.target == nullptr) return {};
  const TimePoint now = deps_.loop.Now();
  const Target::Bottleneck limit = wait.target->WaitsFor(wait.estimate, now);
  if (limit.name.empty()) return {};  // it waits for the store, or is about to begin
  WaitingCall call{.target = wait.target->Name(),
                   .limit = std::string(limit.name),
                   .text = wait.target->TextOf(limit, now),
                   .since = wait.since,
                   .until = limit.until,
                   .place = wait.place,
                   .waiting = wait.target->waiting()};
  return call;
}

void Calls::Reconsider(std::string_view alias) {
  const Alias* known = models_.FindAlias(alias);
  if (known == nullptr) return;
  for (const Route& route : known->routes) queue_.Reconsider(*route.target);
}

AttemptsByStage Calls::FindAttempts(std::string_view run) const {
  AttemptsByStage by_stage;
  for (const auto& [key, call] : table_.calls()) {
    if (call->waiters.empty()) continue;
    const CallContext& payer = call->waiters.payer().context;
    if (payer.run == run) by_stage[payer.stage].Add(call->progress.tally.BegunFor(run));
  }
  settling_.AddTo(run, by_stage);
  return by_stage;
}

Task<StatusOr<v1::CacheStats>> Calls::AnswerStats() {
  MR_CO_ASSIGN_OR_RETURN(const Store::Size size, co_await AnswersSize(deps_.store));
  v1::CacheStats stats;
  stats.set_entries(size.entries);
  stats.set_bytes(size.bytes);
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
        deps_.loop.clock().WallMicros() - std::chrono::duration_cast<std::chrono::microseconds>(*older_than).count();
  }
  filter.target = std::move(target);
  filter.in_use = std::move(in_use);
  co_return co_await millrace::EvictAnswers(deps_.store, std::move(filter));
}

CallTraffic::Unfinished Calls::FindUnfinished() const {
  Unfinished unfinished;
  for (const auto& [key, call] : table_.calls()) ++(call->has_unstored_answer ? unfinished.answers : unfinished.calls);
  return unfinished;
}

Task<void> Calls::Drain(TimePoint deadline) {
  const TimePoint store_deadline = deadline > kNever - kStorePatience ? kNever : deadline + kStorePatience;
  queue_.Close();
  table_.WakeAll();
  revisions_.changed().NotifyAll();
  co_await upkeeper_.Drain(deadline);
  while (!table_.calls().empty()) {
    const bool has_unstored = FindUnfinished().answers > 0;
    const bool woken = co_await ended_.WaitUntil(has_unstored ? store_deadline : deadline);
    if (!woken && (has_unstored || FindUnfinished().answers == 0)) co_return;
  }
}

StatusOr<std::unique_ptr<Calls>> MakeCalls(CallDeps deps, Random random,
                                           std::vector<std::unique_ptr<BackendEntry>> backends,
                                           const v1::ServerConfig& config) {
  HostLimits limits;
  if (config.limits().max_response_bytes() > 0) {
    limits.response_bytes_max = static_cast<size_t>(config.limits().max_response_bytes());
  }
  auto calls = std::make_unique<Calls>(deps, std::move(random), std::move(backends), limits);
  for (const v1::ModelConfig& model : config.models()) MR_RETURN_IF_ERROR(calls->AddAlias(model));
  return calls;
}

}  // namespace millrace

#pragma GCC diagnostic pop
