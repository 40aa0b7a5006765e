#include "server/llm/traced_calls.h"

#include <utility>

#include "server/trace/names.h"

namespace millrace {

Task<CallOutcome> TracedCalls::HandleTraced(CallContext context, CallRequest request) {
  trace::Span span(context.trace, "call", trace::SpanKind::kInternal, request.model_alias);
  span.Set(trace::kModel, request.model_alias);
  if (!context.run.empty()) span.Set(trace::kRun, context.run);
  context.trace = span.ref();
  CallOutcome outcome = co_await inner_.Handle(std::move(context), std::move(request));
  if (!outcome.call_keys.empty()) span.Set(trace::kCallKey, outcome.call_keys.back().Hex());
  span.Set(trace::kCacheHit, outcome.cache_hit);
  if (outcome.coalesced) span.Set(trace::kCoalesced, true);
  if (outcome.stopped) span.Set(trace::kStopped, true);
  if (!outcome.backend.empty()) span.Set(trace::kBackend, outcome.backend);
  span.Set(trace::kAttempts, outcome.totals.attempts());
  if (!outcome.status.ok()) span.Fail(ReasonNameOf(outcome.status), MessageOf(outcome.status));
  co_return outcome;
}

}  // namespace millrace
