#include "server/llm/runner.h"

#include <utility>

#include "server/base/run_if_long.h"
#include "server/base/utf8.h"
#include "server/llm/key.h"
#include "server/llm/repair.h"
#include "server/llm/vectors.h"
#include "server/trace/names.h"

namespace millrace {
namespace {

// Bytes of the text of an answer that is kept although the question is asked again: its judgement needs no more.
constexpr size_t kBadTextBytesMax = 16u << 10;

const char* NameOf(Remedy remedy) {
  switch (remedy) {
    case Remedy::kNone:
      return "none";
    case Remedy::kRepair:
      return "repair";
    case Remedy::kAgain:
      return "ask again";
    case Remedy::kOtherTarget:
      return "ask another target";
  }
  return "";
}

void NoteVerdict(trace::Span& span, const Verdict& verdict) {
  if (verdict.remedy != Remedy::kNone) {
    span.Set(trace::kRemedy, NameOf(verdict.remedy));
    span.Fail(ReasonNameOf(verdict.status), MessageOf(verdict.status));
  }
  span.End();
}

}  // namespace

CallRunner::CallRunner(RunnerDeps deps, CallInFlight& call)
    : deps_(deps), call_(call), routes_(call.question.alias.routes), age_(deps.queue.NextAge()) {}

Task<bool> CallRunner::Run() {
  auto schema = co_await deps_.schemas.Get(call_.question.request.question.output_schema);
  if (!schema.ok()) {
    Fail(schema.status());
    co_return true;
  }
  schema_ = *std::move(schema);

  Question question{.request = call_.question.request.question,
                    .canonical = call_.question.canonical,
                    .schema = schema_,
                    .answer = {}};
  int32_t repairs_left = call_.question.request.repairs;
  int32_t retry = 0;
  while (true) {
    Candidate candidate;
    const AskResult asked = co_await Ask(question, retry, candidate);
    if (asked == AskResult::kAbandoned) co_return false;
    if (asked == AskResult::kEnded) co_return true;

    trace::Span judging(Place(), "validate");
    Verdict verdict = co_await JudgeAnswer(question, candidate);
    call_.EndAttempt();
    NoteVerdict(judging, verdict);
    again_.End();
    if (verdict.remedy == Remedy::kNone) {
      Succeed(std::move(candidate), std::move(verdict.text));
      co_return true;
    }
    if (verdict.remedy == Remedy::kAgain) {
      candidate.record.set_text(std::string(Utf8Prefix(candidate.record.text(), kBadTextBytesMax)));
    }
    if (candidate.is_new) call_.progress.AddAnswer(candidate.key, candidate.record, false);
    call_.progress.MarkBad(candidate.key, MessageOf(verdict.status));
    if (verdict.remedy == Remedy::kRepair && repairs_left > 0) {
      --repairs_left;
      retry = 0;
      again_ = trace::Span(call_.place(), "repair");
      if (Status status = co_await BecomeRepair(question, candidate.record.text(), verdict.status); !status.ok()) {
        Fail(std::move(status));
        co_return true;
      }
      continue;
    }
    if (verdict.remedy == Remedy::kAgain && retry + 1 < call_.question.alias.retry.max_attempts) {
      ++retry;
      again_ = trace::Span(call_.place(), "ask again");
      continue;
    }
    if (verdict.remedy == Remedy::kOtherTarget) {
      routes_[candidate.route].Exclude();
      if (routes_.HasAnyLeft()) {
        again_ = trace::Span(call_.place(), "ask another target");
        continue;
      }
    }
    Fail(verdict.status);
    co_return true;
  }
}

Task<Verdict> CallRunner::JudgeAnswer(const Question& question, Candidate& candidate) {
  if (texts()) {
    const size_t bytes = BytesOf(candidate.vectors);
    auto judge = [vectors = std::move(candidate.vectors), reason = candidate.record.finish_reason(),
                  request = texts()->request]() mutable {
      Verdict verdict = JudgeVectors(vectors, reason, request);
      return std::pair(std::move(verdict), std::move(vectors));
    };
    std::pair<Verdict, std::vector<std::vector<float>>> judged =
        co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(judge));
    candidate.vectors = std::move(judged.second);
    co_return std::move(judged.first);
  }
  auto judge = [text = candidate.record.text(), reason = candidate.record.finish_reason(), whole = schema_,
                part = question.schema, answer = question.answer]() mutable {
    if (!answer.empty()) return JudgeFields(std::move(text), reason, whole->schema, part->schema, answer);
    return Judge(std::move(text), reason, whole ? &whole->schema : nullptr);
  };
  // The length of an answer is not its cost: a schema may look at each part many times.
  const size_t bytes = candidate.record.text().size();
  const bool is_cheap = schema_ == nullptr || (question.answer.empty() && schema_->schema.IsCheap(bytes));
  if (is_cheap) co_return co_await RunIfLong(deps_.loop, deps_.pool, bytes, std::move(judge));
  co_return co_await Compute(deps_.loop, deps_.slow_pool, std::move(judge));
}

Task<Status> CallRunner::BecomeRepair(Question& question, std::string answer, Status fault) {
  // A second repair asks for everything: the fields by themselves did not help.
  const bool may_ask_fields = question.answer.empty();
  const std::string& schema = call_.question.request.question.output_schema;
  auto plan = [request = question.request, schema, answer = std::move(answer), fault = std::move(fault),
               may_ask_fields] {
    Repair repair = PlanRepair(request, schema, answer, fault, may_ask_fields);
    std::string canonical = CanonicalRequest(repair.request);
    return std::pair(std::move(repair), std::move(canonical));
  };
  // It compiles a schema for each field.
  std::pair<Repair, std::string> planned = co_await Compute(deps_.loop, deps_.slow_pool, std::move(plan));
  Repair& repair = planned.first;
  question.request = std::move(repair.request);
  question.canonical = std::move(planned.second);
  question.answer = std::move(repair.answer);
  auto compiled = co_await deps_.schemas.Get(question.request.output_schema);
  MR_CO_RETURN_IF_ERROR(compiled.status());
  question.schema = *std::move(compiled);
  co_return absl::OkStatus();
}

void CallRunner::Fail(Status status) { call_.result.status = std::move(status); }

void CallRunner::Succeed(Candidate candidate, std::string text) {
  CallResult& result = call_.result;
  result.status = absl::OkStatus();
  result.answer = candidate.record;
  result.answer.set_text(text);
  result.text = std::move(text);
  result.answer_key = first_keys_[candidate.route];
  result.from_memory = candidate.from_memory;
  result.is_own = candidate.is_own;
  result.vectors = std::move(candidate.vectors);
  // The answers of a batch are kept by text (SettleTexts).
  if (candidate.is_new && !texts()) call_.progress.AddAnswer(candidate.key, result.answer, true);
}

}  // namespace millrace
