// The look-up before a question is asked, and the taking over of its results: answers given to this run, cached
// answers, and the attempts that a crash left behind or whose callers left.
#include <utility>

#include "server/base/run_if_long.h"
#include "server/llm/retry.h"
#include "server/llm/runner.h"
#include "server/trace/names.h"

namespace millrace {

using storage::v1::PendingRecord;

namespace {

bool IsUnknown(v1::AttemptOutcome outcome) {
  return outcome == v1::ATTEMPT_OUTCOME_STARTED || outcome == v1::ATTEMPT_OUTCOME_UNKNOWN ||
         outcome == v1::ATTEMPT_OUTCOME_PARTIAL;
}

}  // namespace

Task<std::optional<CallRunner::AskResult>> CallRunner::FindAnswer(const Question& question,
                                                                  const std::vector<Digest>& keys,
                                                                  Candidate& candidate) {
  if (call_.waiters.empty()) co_return AskResult::kAbandoned;
  std::vector<Digest> wanted;
  std::vector<size_t> routes;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (routes_[i].is_excluded()) continue;
    wanted.push_back(keys[i]);
    routes.push_back(i);
  }
  const std::string run = call_.waiters.payer().context.run;
  LookUpRules rules{.run = run, .earlier_runs = call_.question.look_up, .ttl = call_.question.ttl};
  trace::Span looking(Place(), "look up");
  Found found = co_await deps_.cache.LookUp(wanted, std::move(rules));
  looking.Set(trace::kCacheHit, found.answer.has_value());
  looking.End();
  call_.progress.SetOwn(run, wanted, std::move(found.own));
  if (found.answer) {
    candidate.route = routes[found.place];
    candidate.key = wanted[found.place];
    candidate.record = *std::move(found.answer);
    candidate.from_memory = true;
    candidate.is_own = found.is_own;
    call_.progress.AddKey(candidate.key);
    call_.progress.tally.AddCacheHit();
    co_return AskResult::kAnswered;
  }
  bool is_unknown = !found.lost.empty();
  for (const size_t place : found.lost) call_.progress.AddPending(wanted[place]);  // the settlement deletes it
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!found.pending[i]) continue;
    PendingRecord& pending = *found.pending[i];
    is_unknown |= IsUnknown(pending.attempt().outcome());
    call_.progress.AddKey(wanted[i]);
    call_.progress.AddPending(wanted[i]);
    if (HasAnswer(pending.attempt())) {
      co_return co_await TakeAnswer(question, routes[i], wanted[i], std::move(pending), candidate);
    }
    TakeOver(wanted[i], std::move(pending));
  }
  if (is_unknown && call_.question.alias.retry.on_unknown == UnknownPolicy::kFail) {
    Fail(UnknownOutcomeError());
    co_return AskResult::kEnded;
  }
  co_return std::nullopt;
}

Task<CallRunner::AskResult> CallRunner::TakeAnswer(const Question& question, size_t route, const Digest& key,
                                                   PendingRecord pending, Candidate& candidate) {
  const Target& target = routes_[route].target();
  auto reparse = [exchange = target.entry().backend->Start(QuestionFor(question, target), 0),
                  answer = RawAnswerOf(pending)]() mutable { return Reparse(*exchange, std::move(answer)); };
  const size_t bytes = pending.raw().size();
  TakeOver(key, std::move(pending));
  call_.TakeOverAttempt(key);
  AttemptResult result = co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(reparse));
  if (auto* answer = std::get_if<backend::Answer>(&result)) {
    // Settled already if the last waiter gave up meanwhile.
    PendingRecord* taken = call_.progress.FindUnsettled(attempt_id_);
    if (taken != nullptr) call_.progress.tally.AddTokensOf(*taken, *answer, call_.progress.own_run());
    AcceptAnswer(route, key, std::move(*answer), candidate);
  } else {
    AcceptBadAnswer(route, key, std::get<backend::Failure>(result), candidate);
  }
  NoteQuestion(question, key);
  co_return AskResult::kAnswered;
}

// The attempt's costs go to this call if its run began the attempt. The claim of its key says that nobody else is
// settling it.
void CallRunner::TakeOver(const Digest& key, PendingRecord pending) {
  attempt_id_ = pending.attempt().id();
  call_.progress.tally.TakeOver(pending, call_.progress.own_run());
  call_.CountAttemptsFrom(pending.attempt().number());
  call_.progress.AddUnsettled(key, std::move(pending));
}

}  // namespace millrace
