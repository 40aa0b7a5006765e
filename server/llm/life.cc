#include "server/llm/life.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backends/sdk/schema.h"
#include "server/llm/classify.h"
#include "server/llm/inline.h"
#include "server/llm/key.h"
#include "server/llm/repair.h"
#include "server/llm/retry.h"

namespace millrace {
namespace {

using storage::v1::AnswerRecord;
using storage::v1::AttemptRecord;

constexpr size_t kInlineSchemaBytesMax = 4u << 10;

bool IsUnknown(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_STARTED || outcome == v1::ATTEMPT_OUTCOME_UNKNOWN ||
         outcome == v1::ATTEMPT_OUTCOME_PARTIAL;
}

Status UnknownOutcome() {
  return MakeError(Reason::kUnknownOutcome,
                   "it is unknown whether the call was answered, and the policy is not to ask again");
}

}  // namespace

CallLife::CallLife(CallParts parts, CallInFlight& call)
    : parts_(parts),
      call_(call),
      excluded_(call.alias.routes.size()),
      not_before_(call.alias.routes.size()),
      failures_(call.alias.routes.size()),
      refused_(call.alias.routes.size()),
      age_(parts.queue.NextAge()) {}

Task<bool> CallLife::Live() {
  if (const std::string& text = call_.request.question.output_schema; !text.empty()) {
    StatusOr<Schema> schema = absl::UnknownError("");
    if (text.size() <= kInlineSchemaBytesMax) {
      schema = Schema::Parse(text);
    } else {
      auto parse = [text] { return Schema::Parse(text); };
      schema = co_await Compute(parts_.loop, parts_.pool, std::move(parse));
    }
    if (!schema.ok()) {
      Fail(schema.status());
      co_return true;
    }
    schema_ = *std::move(schema);
  }

  Question question{.request = call_.request.question, .canonical = call_.canonical};
  int32_t repairs_left = call_.request.repairs;
  int32_t retry = 0;
  while (true) {
    Given given;
    const Step step = co_await Ask(question, retry, given);
    if (step == Step::kAbandoned) co_return false;
    if (step == Step::kEnded) co_return true;

    Verdict verdict;
    if (given.record.text().size() <= kInlineBytesMax) {
      verdict = Judge(given.record.text(), given.record.finish_reason(), schema_);
    } else {
      auto judge = [text = given.record.text(), reason = given.record.finish_reason(), schema = schema_] {
        return Judge(text, reason, schema);
      };
      verdict = co_await Compute(parts_.loop, parts_.pool, std::move(judge));
    }
    call_.asked_key.reset();
    if (verdict.remedy == Remedy::kNone) {
      Succeed(given, std::move(verdict.text));
      co_return true;
    }
    if (given.is_new) call_.progress.answers.push_back({given.key, given.record, false});
    call_.progress.MarkBad(given.key, MessageOf(verdict.status));
    if (verdict.remedy == Remedy::kRepair && repairs_left > 0) {
      --repairs_left;
      retry = 0;
      question.request = RepairRequest(std::move(question.request), given.record.text(), verdict.status);
      question.canonical = CanonicalRequest(question.request);
      continue;
    }
    if (verdict.remedy == Remedy::kAgain && retry + 1 < call_.alias.retry.attempts_max) {
      ++retry;
      continue;
    }
    if (verdict.remedy == Remedy::kOtherTarget) {
      excluded_[given.route] = true;
      if (HasRouteLeft()) continue;
    }
    Fail(verdict.status);
    co_return true;
  }
}

Task<CallLife::Step> CallLife::Ask(const Question& question, int32_t retry, Given& given) {
  std::vector<Digest> keys;
  for (const Route& route : call_.alias.routes) {
    keys.push_back(CallKey(route.identity, question.canonical, question.request.sample_number, retry));
  }
  if (first_keys_.empty()) first_keys_ = keys;
  call_.progress.totals.set_calls(call_.progress.totals.calls() + 1);

  // What an earlier question of this call has claimed is its own.
  std::vector<Digest> free;
  for (const Digest& key : keys) {
    const auto has = [&key](const auto& claim) { return claim->Has(key); };
    if (std::none_of(call_.claims.begin(), call_.claims.end(), has)) free.push_back(key);
  }
  call_.claims.push_back(co_await parts_.claims.Take(std::move(free)));
  bool is_given = false;
  Step step = co_await LookUp(question, keys, given, is_given);
  if (step == Step::kGiven && !is_given) {
    storage::v1::QuestionRecord record;
    record.set_request(question.canonical);
    record.set_model(call_.alias.name);
    while (true) {
      const std::optional<size_t> route = co_await Bind();
      if (!route) {
        step = Step::kAbandoned;
        if (parts_.queue.closed()) {
          call_.drained = true;
          Fail(MakeError(Reason::kDraining, "the server is going down"));
          step = Step::kEnded;
        }
        break;
      }
      const Digest& key = keys[*route];
      call_.progress.AddQuestion(key, record);
      call_.progress.AddKey(key);
      backend::Request bound = question.request;
      const Target& target = *call_.alias.routes[*route].target;
      bound.model = target.model;
      if (!bound.output_schema.empty() && target.entry->backend->manifest().kind != "local") {
        bound.output_schema = backend::WithoutLocalAnnotations(bound.output_schema);
      }
      std::optional<AttemptResult> result = co_await Try(*route, key, std::move(bound));
      if (!result) continue;  // nothing was tried: who waited has left, or come back
      if (auto* answer = std::get_if<backend::Answer>(&*result)) {
        NoteAnswer(*route, key, std::move(*answer), given);
        break;
      }
      const backend::Failure& failure = std::get<backend::Failure>(*result);
      if (failure.outcome == backend::Outcome::kAnsweredBad || failure.outcome == backend::Outcome::kTooLarge) {
        const bool is_large = failure.outcome == backend::Outcome::kTooLarge;
        NoteBad(*route, key, is_large ? kTooLarge : kBadResponse, given);
        break;
      }
      call_.asked_key.reset();
      if (!NoteFailure(*route, failure)) {
        step = Step::kEnded;
        break;
      }
    }
  }
  co_return step;
}

Task<CallLife::Step> CallLife::LookUp(const Question& question, const std::vector<Digest>& keys, Given& given,
                                      bool& is_given) {
  if (call_.IsAbandoned()) co_return Step::kAbandoned;
  std::vector<Digest> wanted;
  std::vector<size_t> routes;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (excluded_[i]) continue;
    wanted.push_back(keys[i]);
    routes.push_back(i);
  }
  LookUpRules rules{.run = call_.PaidBy().run, .earlier_runs = call_.look_up, .ttl = call_.ttl};
  Found found = co_await parts_.cache.LookUp(wanted, std::move(rules));
  if (found.answer) {
    given.route = routes[found.place];
    given.key = wanted[found.place];
    given.record = *std::move(found.answer);
    given.from_memory = true;
    call_.progress.AddKey(given.key);
    call_.progress.totals.set_cache_hits(call_.progress.totals.cache_hits() + 1);
    is_given = true;
    co_return Step::kGiven;
  }
  bool is_unknown = !found.lost.empty();
  for (const size_t place : found.lost) call_.progress.AddPending(wanted[place]);  // deleted as the call is settled
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!found.pending[i]) continue;
    AttemptRecord& pending = *found.pending[i];
    const Route& route = call_.alias.routes[routes[i]];
    is_unknown |= IsUnknown(pending.attempt().outcome());
    const bool is_answered = pending.attempt().outcome() == v1::ATTEMPT_OUTCOME_ANSWERED ||
                             pending.attempt().outcome() == v1::ATTEMPT_OUTCOME_ANSWERED_BAD;
    attempt_id_ = pending.attempt().id();
    const std::string raw = pending.raw();
    const int http_status = pending.attempt().http_status();
    TakeOver(wanted[i], std::move(pending));
    call_.progress.AddKey(wanted[i]);
    call_.progress.AddPending(wanted[i]);
    if (!is_answered) continue;
    call_.asked_key = wanted[i];
    backend::Request bound = question.request;
    bound.model = route.target->model;
    AttemptResult result = backend::Failure();
    if (raw.size() <= kInlineBytesMax) {
      result = Reparse(*route.target->entry->backend, bound, http_status, raw);
    } else {
      auto reparse = [backend = route.target->entry->backend.get(), bound, http_status, raw] {
        return Reparse(*backend, bound, http_status, raw);
      };
      result = co_await Compute(parts_.loop, parts_.pool, std::move(reparse));
    }
    if (auto* answer = std::get_if<backend::Answer>(&result)) {
      const auto taken = std::find_if(call_.progress.unsettled.begin(), call_.progress.unsettled.end(),
                                      [this](const auto& entry) { return entry.second.attempt().id() == attempt_id_; });
      const bool is_there = taken != call_.progress.unsettled.end();
      if (is_there && taken->second.attempt().input_tokens() == 0 && taken->second.attempt().output_tokens() == 0) {
        AttemptRecord& record = taken->second;
        record.mutable_attempt()->set_input_tokens(std::max<int64_t>(answer->input_tokens.value_or(0), 0));
        record.mutable_attempt()->set_output_tokens(std::max<int64_t>(answer->output_tokens.value_or(0), 0));
        storage::v1::CallTotals& totals = call_.progress.totals;
        totals.set_input_tokens(totals.input_tokens() + record.attempt().input_tokens());
        totals.set_output_tokens(totals.output_tokens() + record.attempt().output_tokens());
        *record.mutable_totals() = totals;
      }
      NoteAnswer(routes[i], wanted[i], std::move(*answer), given);
    } else {
      NoteBad(routes[i], wanted[i], kBadResponse, given);
    }
    storage::v1::QuestionRecord record;
    record.set_request(question.canonical);
    record.set_model(call_.alias.name);
    call_.progress.AddQuestion(wanted[i], record);
    is_given = true;
    co_return Step::kGiven;
  }
  if (is_unknown && call_.alias.on_unknown == UnknownPolicy::kFail) {
    Fail(UnknownOutcome());
    co_return Step::kEnded;
  }
  co_return Step::kGiven;
}

// Of an attempt that a crash left behind, or that nobody took: what it cost goes to this call. The claim of its key
// says that nobody else is settling it.
void CallLife::TakeOver(const Digest& key, AttemptRecord pending) {
  v1::Attempt& attempt = *pending.mutable_attempt();
  storage::v1::CallTotals& totals = call_.progress.totals;
  // The record's totals are of its whole call; of a call that was given up, of what came after that. This one's
  // question is counted already.
  const int64_t calls = totals.calls();
  totals = pending.totals();
  totals.set_calls(std::max(calls, totals.calls()));
  if (attempt.outcome() == v1::ATTEMPT_OUTCOME_STARTED) {
    attempt.set_outcome(v1::ATTEMPT_OUTCOME_UNKNOWN);
    attempt.set_error("the server ended before the answer");
    totals.set_attempts(totals.attempts() + 1);
    totals.set_maybe_billed(totals.maybe_billed() + 1);
    totals.set_unpriced_attempts(totals.unpriced_attempts() + 1);
  }
  call_.attempt_number = std::max(call_.attempt_number, attempt.number());
  // It may be this call's own, from before everybody had left it.
  const std::string id = attempt.id();
  std::erase_if(call_.progress.attempts, [&id](const v1::Attempt& own) { return own.id() == id; });
  std::erase_if(call_.progress.unsettled, [&id](const auto& own) { return own.second.attempt().id() == id; });
  call_.progress.AddAttempt(attempt);
  call_.progress.unsettled.emplace_back(key, std::move(pending));
}

Task<std::optional<size_t>> CallLife::Bind() {
  const std::vector<Route>& routes = call_.alias.routes;
  const TimePoint begin = parts_.loop.Now();
  Ticket ticket;
  ticket.age = age_;
  ticket.wake = [this] { call_.changed.NotifyAll(); };
  // The ticket must not stay in the queue when this coroutine goes.
  struct Leaving {
    Queue& queue;
    Ticket& ticket;
    ~Leaving() { queue.Leave(ticket); }
  };
  while (!call_.IsAbandoned() && !parts_.queue.closed()) {
    // The first priority that has a target which may be tried now; lower ones are for when these fail.
    const TimePoint now = parts_.loop.Now();
    std::vector<Target*> targets;
    TimePoint next = kNever;
    int32_t priority = 0;
    for (size_t i = 0; i < routes.size(); ++i) {
      if (excluded_[i] || (!targets.empty() && routes[i].priority != priority)) continue;
      const TimePoint from = std::max(not_before_[i], routes[i].target->quiet_until);
      if (from > now) {
        next = std::min(next, from);
        continue;
      }
      targets.push_back(routes[i].target);
      priority = routes[i].priority;
    }
    if (targets.empty()) {
      co_await call_.changed.WaitUntil(next);
      continue;
    }
    ticket.run = call_.PaidBy().run;
    ticket.priority = call_.Priority();
    ticket.targets = std::move(targets);
    parts_.queue.Enter(ticket);
    if (ticket.granted == nullptr) {
      const Leaving leaving{parts_.queue, ticket};
      co_await call_.changed.WaitUntil(next);
    }
    if (ticket.granted == nullptr) continue;
    call_.progress.totals.set_waiting_nanos(call_.progress.totals.waiting_nanos() +
                                            (parts_.loop.Now() - begin).count());
    if (call_.IsAbandoned() || parts_.queue.closed()) {
      parts_.queue.Release(*ticket.granted);
      break;
    }
    for (size_t i = 0; i < routes.size(); ++i) {
      if (routes[i].target == ticket.granted && !excluded_[i]) co_return i;
    }
  }
  co_return std::nullopt;
}

Task<std::optional<AttemptResult>> CallLife::Try(size_t route, const Digest& key, backend::Request bound) {
  Target& target = *call_.alias.routes[route].target;
  const AttemptRecorder::Parts parts{parts_.loop, parts_.pool, parts_.store, parts_.queue, parts_.names};
  AttemptRecorder recorder(parts, call_, key, target);
  AttemptOrder order{.entry = target.entry,
                     .request = std::move(bound),
                     .timeouts = call_.alias.timeouts,
                     .seed = parts_.random.Next()};
  call_.asked_key = key;
  call_.first_attempt = std::min(call_.first_attempt, parts_.loop.Now());
  AttemptResult result = co_await parts_.sender.Send(std::move(order), recorder);
  co_await recorder.Finish(result);
  attempt_id_ = recorder.id();
  if (recorder.was_given_up()) {
    call_.asked_key.reset();
    co_return std::nullopt;
  }
  co_return result;
}

void CallLife::NoteAnswer(size_t route, const Digest& key, backend::Answer answer, Given& given) {
  const Target& target = *call_.alias.routes[route].target;
  given.route = route;
  given.key = key;
  given.is_new = true;
  AnswerRecord& record = given.record;
  record.set_text(std::move(answer.text));
  record.set_backend(target.entry->name);
  record.set_model(target.model);
  record.set_input_tokens(std::max<int64_t>(answer.input_tokens.value_or(0), 0));
  record.set_output_tokens(std::max<int64_t>(answer.output_tokens.value_or(0), 0));
  if (target.entry->backend->manifest().free_of_charge) record.set_cost_nano_usd(0);
  if (!call_.IsAbandoned()) record.set_run(call_.PaidBy().run);
  record.set_time_micros(parts_.loop.clock().WallMicros());
  record.set_attempt_id(attempt_id_);
  record.set_finish_reason(std::string(FinishReasonName(answer.finish_reason)));
  failures_[route] = 0;
  call_.is_refused = false;
  call_.failing = nullptr;
}

void CallLife::NoteBad(size_t route, const Digest& key, std::string finish_reason, Given& given) {
  NoteAnswer(route, key, backend::Answer(), given);
  given.record.set_finish_reason(std::move(finish_reason));
}

bool CallLife::NoteFailure(size_t route, const backend::Failure& failure) {
  Target& target = *call_.alias.routes[route].target;
  const FailureKind kind = KindOf(failure.outcome);
  call_.failure = failure;
  refused_[route] = kind == FailureKind::kTargetFinal;
  // Who waits for one answer is told what people must mend; a run waits for it.
  const auto is_of_run = [](const CallWaiter* waiter) { return !waiter->context.run.empty(); };
  const bool is_told = kind == FailureKind::kTargetFinal && !call_.IsAbandoned() &&
                       std::none_of(call_.waiters.begin(), call_.waiters.end(), is_of_run);
  if (kind == FailureKind::kCallFinal || is_told) {
    excluded_[route] = true;
    if (HasRouteLeft()) return true;
    Fail(ErrorOf(failure));
    return false;
  }
  if (kind == FailureKind::kUnknown && call_.alias.on_unknown == UnknownPolicy::kFail) {
    Fail(UnknownOutcome());
    return false;
  }
  ++target.failures;
  call_.failing = &target;
  call_.is_refused = true;
  for (size_t i = 0; i < refused_.size(); ++i) call_.is_refused &= refused_[i] || excluded_[i];
  if (!std::exchange(call_.has_failed, true) || call_.is_refused) {
    for (CallWaiter* waiter : call_.waiters) waiter->changed.NotifyAll();
  }
  Duration delay = BackoffAfter(++failures_[route], call_.alias.retry, parts_.random);
  // Mended by people, not by waiting: it is looked at seldom.
  if (kind == FailureKind::kTargetFinal) delay = call_.alias.retry.backoff_max;
  not_before_[route] = parts_.loop.Now() + delay;
  if (failure.retry_after) {
    parts_.queue.Quiet(target, parts_.loop.Now() + std::min(*failure.retry_after, kRetryAfterMax));
  }
  return true;
}

void CallLife::Fail(Status status) { call_.result.status = std::move(status); }

void CallLife::Succeed(const Given& given, std::string text) {
  CallResult& result = call_.result;
  result.status = absl::OkStatus();
  result.answer = given.record;
  result.answer.set_text(text);
  result.text = std::move(text);
  result.answer_key = first_keys_[given.route];
  result.from_memory = given.from_memory;
  if (!given.is_new) return;
  call_.progress.answers.push_back({given.key, result.answer, true});
  // An answer that took a repair or another try is the answer to the question as it was first asked.
  if (given.key != result.answer_key) call_.progress.answers.push_back({result.answer_key, result.answer, true});
}

bool CallLife::HasRouteLeft() const {
  return std::any_of(excluded_.begin(), excluded_.end(), [](bool is_excluded) { return !is_excluded; });
}

}  // namespace millrace
