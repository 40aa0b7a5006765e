// A call as a span. What the call does while it waits, looks up, asks and judges are spans below it (runner.h); each
// attempt is one (traced_sender.h).
#pragma once

#include "server/llm/call.h"

namespace millrace {

// Engine thread.
class TracedCalls final : public CallHandler {
 public:
  // `inner` must outlive it.
  explicit TracedCalls(CallHandler& inner) : inner_(inner) {}

  // A call whose context has no trace costs nothing more.
  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    if (!context.trace) return inner_.Handle(std::move(context), std::move(request));
    return HandleTraced(std::move(context), std::move(request));
  }

 private:
  Task<CallOutcome> HandleTraced(CallContext context, CallRequest request);

  CallHandler& inner_;
};

}  // namespace millrace
