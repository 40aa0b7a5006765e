// How a question is asked: a slot of a target, one attempt after another, and what follows from a failure.
#include <algorithm>
#include <utility>

#include "server/base/run_if_long.h"
#include "server/llm/advice.h"
#include "server/llm/classify.h"
#include "server/llm/key.h"
#include "server/llm/retry.h"
#include "server/llm/runner.h"

namespace millrace {
namespace {

// Estimates the tokens of a question and its longest answer: four bytes make about one token of English text.
int64_t EstimatedTokens(const CallQuestion& question, const backend::Request& request) {
  if (question.request.texts) {
    size_t text_bytes = 0;
    for (const std::string& text : question.request.texts->request.texts) text_bytes += text.size();
    return static_cast<int64_t>(text_bytes / 4);
  }
  size_t bytes = request.output_schema.size();
  for (const backend::Message& message : request.messages) bytes += message.content.size();
  return static_cast<int64_t>(bytes / 4) + request.max_tokens;
}

}  // namespace

Task<CallRunner::AskResult> CallRunner::Ask(const Question& question, int32_t retry, Candidate& candidate) {
  const std::shared_ptr<const Identities> identities = call_.question.identities;
  auto make_keys = [identities, canonical = question.canonical, sample = question.request.sample_number, retry] {
    std::vector<Digest> keys;
    for (const std::string& identity : *identities) keys.push_back(CallKey(identity, canonical, sample, retry));
    return keys;
  };
  const size_t bytes = question.canonical.size() * identities->size();
  const std::vector<Digest> keys = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(make_keys));
  if (first_keys_.empty()) first_keys_ = keys;
  call_.progress.tally.AddQuestion();

  // The keys of an earlier question of this call are claimed already.
  std::vector<Digest> free;
  const auto is_free = [this](const Digest& key) { return !call_.HasClaimed(key); };
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(free), is_free);
  // Another batch with one of these texts would overwrite its entry for the attempt of this batch.
  if (texts()) std::copy_if(texts()->keys.begin(), texts()->keys.end(), std::back_inserter(free), is_free);
  trace::Span waiting;
  if (deps_.claims.HaveAnyOf(free)) waiting = trace::Span(Place(), "wait for an equal question");
  call_.AddClaim(co_await deps_.claims.Take(std::move(free)));
  waiting.End();
  const std::optional<AskResult> found = co_await FindAnswer(question, keys, candidate);
  if (found) co_return *found;
  co_return co_await SendUntilAnswered(question, keys, candidate);
}

Task<CallRunner::AskResult> CallRunner::SendUntilAnswered(const Question& question, const std::vector<Digest>& keys,
                                                          Candidate& candidate) {
  while (true) {
    const std::optional<Acquired> acquired = co_await AcquireTarget(question);
    if (!acquired) {
      if (!deps_.queue.closed()) co_return AskResult::kAbandoned;
      call_.MarkDrained();
      Fail(MakeError(Reason::kDraining, "the server is going down"));
      co_return AskResult::kEnded;
    }
    const size_t route = acquired->route;
    const Digest& key = keys[route];
    NoteQuestion(question, key);
    backend::Question asked = QuestionFor(question, routes_[route].target());
    std::optional<AttemptResult> result = co_await Try(*acquired, key, std::move(asked));
    if (!result) continue;  // nothing was sent: the waiters have left, or come back
    if (auto* answer = std::get_if<backend::Answer>(&*result)) {
      AcceptAnswer(route, key, std::move(*answer), candidate);
      co_return AskResult::kAnswered;
    }
    const backend::Failure& failure = std::get<backend::Failure>(*result);
    if (failure.outcome == backend::Outcome::kAnsweredBad || failure.outcome == backend::Outcome::kTooLarge) {
      AcceptBadAnswer(route, key, failure, candidate);
      co_return AskResult::kAnswered;
    }
    call_.EndAttempt();
    // Its waiters had left: not the target's fault. Somebody may have joined meanwhile.
    if (failure.outcome == backend::Outcome::kCancelled) continue;
    if (!HandleFailure(*acquired, failure)) co_return AskResult::kEnded;
  }
}

Task<std::optional<CallRunner::Acquired>> CallRunner::AcquireTarget(const Question& question) {
  const TimePoint begin = deps_.loop.Now();
  Ticket ticket;
  ticket.age = age_;
  ticket.since = begin;
  ticket.kind = call_.question.request.texts ? CallKind::kEmbed : CallKind::kChat;
  ticket.tokens = EstimatedTokens(call_.question, question.request);
  ticket.wake = [this] { call_.changed.NotifyAll(); };
  // The ticket must not stay in the queue when this coroutine goes.
  struct Leaving {
    Queue& queue;
    Ticket& ticket;
    ~Leaving() { queue.Leave(ticket); }
  };
  while (!call_.waiters.empty() && !deps_.queue.closed()) {
    RouteStates::Ready ready = routes_.ReadyAt(deps_.loop.Now());
    if (ready.targets.empty()) {
      const trace::Span waiting(Place(), "back off");
      co_await call_.changed.WaitUntil(ready.next);
      continue;
    }
    ticket.run = call_.waiters.payer().context.run;
    ticket.priority = call_.waiters.Priority();
    ticket.targets = std::move(ready.targets);
    ticket.skipped = std::move(ready.skipped);
    deps_.queue.Enter(ticket);
    if (ticket.granted == nullptr) {
      const Leaving leaving{deps_.queue, ticket};
      const trace::Span waiting(Place(), "wait for a slot");
      co_await call_.changed.WaitUntil(ready.next);
    }
    if (ticket.granted == nullptr) continue;
    call_.progress.tally.AddWaiting(deps_.loop.Now() - begin);
    if (call_.waiters.empty() || deps_.queue.closed()) {
      const AttemptEnd never{.outcome = backend::Outcome::kNotSent, .was_sent = false};
      deps_.queue.Free(*ticket.granted, ticket.admitted);
      deps_.queue.End(*ticket.granted, ticket.admitted, never);
      break;
    }
    co_return Acquired{.route = routes_.IndexOf(*ticket.granted), .admitted = ticket.admitted};
  }
  co_return std::nullopt;
}

Task<std::optional<AttemptResult>> CallRunner::Try(const Acquired& at, const Digest& key, backend::Question asked) {
  Target& target = routes_[at.route].target();
  const AttemptRecorder::Deps deps{deps_.loop, deps_.pool, deps_.store, deps_.queue, deps_.numbers, deps_.names};
  AttemptRecorder recorder(deps, call_, key, target, at.admitted);
  call_.BeginAttempt(key, deps_.loop.Now());
  const bool wants_deltas = call_.partial_text.Begin();
  if (auto* request = std::get_if<backend::Request>(&asked)) request->wants_deltas = wants_deltas;
  AttemptOrder order{.entry = &target.entry(),
                     .question = {},
                     .timeouts = call_.question.alias.timeouts,
                     .seed = deps_.random.Next(),
                     .stop = wants_deltas ? call_.NewStop() : nullptr};
  order.question = std::move(asked);
  order.trace = Place();
  AttemptResult result = co_await deps_.sender.Send(std::move(order), recorder);
  trace::Span recording;  // an answer was recorded before it was handed on
  if (std::holds_alternative<backend::Failure>(result)) recording = trace::Span(Place(), "record the outcome");
  co_await recorder.Finish(result);
  recording.EndIfNoticeable();
  attempt_id_ = recorder.id();
  if (recorder.was_given_up()) {
    call_.EndAttempt();
    co_return std::nullopt;
  }
  co_return result;
}

backend::Question CallRunner::QuestionFor(const Question& question, const Target& target) const {
  if (texts()) {
    backend::EmbedRequest embed = texts()->request;
    embed.model = target.model();
    return embed;
  }
  backend::Request request = question.request;
  request.model = target.model();
  if (question.schema && !target.manifest().takes_local_annotations)
    request.output_schema = question.schema->for_providers;
  return request;
}

void CallRunner::NoteQuestion(const Question& question, const Digest& key) {
  call_.progress.AddKey(key);
  if (texts()) return;  // not kept: `why` explains no vectors
  storage::v1::QuestionRecord record;
  record.set_request(question.canonical);
  record.set_model(call_.question.alias.name);
  call_.progress.AddQuestion(key, record);
}

void CallRunner::AcceptAnswer(size_t route, const Digest& key, backend::Answer answer, Candidate& candidate) {
  const Target& target = routes_[route].target();
  candidate.route = route;
  candidate.key = key;
  candidate.is_new = true;
  storage::v1::AnswerRecord& record = candidate.record;
  record.set_text(std::move(answer.text));
  candidate.vectors = std::move(answer.vectors);
  record.set_backend(target.entry().name);
  record.set_model(target.model());
  record.set_input_tokens(std::max<int64_t>(answer.input_tokens.value_or(0), 0));
  record.set_output_tokens(std::max<int64_t>(answer.output_tokens.value_or(0), 0));
  if (target.manifest().free_of_charge) record.set_cost_nano_usd(0);
  if (!call_.waiters.empty()) record.set_run(call_.waiters.payer().context.run);
  record.set_time_micros(deps_.loop.clock().WallMicros());
  record.set_attempt_id(attempt_id_);
  record.set_finish_reason(std::string(FinishReasonName(answer.finish_reason)));
  routes_[route].CountAnswer();
  call_.trouble.NoteAnswer();
}

void CallRunner::AcceptBadAnswer(size_t route, const Digest& key, const backend::Failure& failure,
                                 Candidate& candidate) {
  AcceptAnswer(route, key, backend::Answer(), candidate);
  const bool is_large = failure.outcome == backend::Outcome::kTooLarge;
  candidate.record.set_finish_reason(is_large ? kTooLarge : kBadResponse);
  candidate.record.set_text(failure.message);  // for the judge
}

bool CallRunner::HandleFailure(const Acquired& acquired, const backend::Failure& failure) {
  RouteState& state = routes_[acquired.route];
  if (KindOf(failure.outcome) == FailureKind::kUnknown) ++unknowns_;
  const bool can_wait = call_.waiters.empty() || call_.waiters.HasRun();
  const RetryPolicy& policy = call_.question.alias.retry;
  FailedAttempt attempt{
      .failure = failure, .unknowns = unknowns_, .may_bill = state.target().manifest().may_bill, .can_wait = can_wait};
  if (NeedsHuman(failure.outcome)) attempt.refusal = state.CountRefusal(acquired.admitted.number, policy.max_attempts);
  Decision decision = After(attempt, policy);
  // The caller of a Generate call sees no run that pauses with the remedy.
  if (NeedsHuman(failure.outcome) && !can_wait) decision.error = ErrorAt(state.target(), failure);
  state.CountFailure();
  if (decision.needs_human) state.Block(failure);
  switch (decision.next) {
    case Decision::Next::kExclude:
      state.Exclude();
      call_.trouble.NoteFinal(failure);
      if (!routes_.HasAnyLeft()) {
        Fail(std::move(decision.error));
        return false;
      }
      return !IsBlocked(failure);
    case Decision::Next::kFail:
      call_.trouble.NoteFinal(failure);
      Fail(std::move(decision.error));
      return false;
    case Decision::Next::kRetry:
      break;
  }
  if (decision.needs_human && IsBlocked(failure)) return false;
  if (call_.trouble.Note(failure, state.target())) call_.waiters.WakeAll();
  const TimePoint now = deps_.loop.Now();
  state.BackOff(now + std::max(decision.delay, state.target().RetryDelay(policy, now, deps_.random)));
  return true;
}

bool CallRunner::IsBlocked(const backend::Failure& failure) {
  std::vector<Blockage> blockages = routes_.Blockages();
  if (blockages.empty()) return false;
  call_.Block(std::move(blockages));
  Fail(ErrorOf(failure));
  return true;
}

}  // namespace millrace
