// The call layer as the stages of one run see it.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "server/llm/call.h"

namespace millrace {

// Passes calls on and tells the run if one can't be answered before a human repairs its targets.
class RunCalls final : public CallHandler {
 public:
  using Blocked = std::function<void(const std::vector<Blockage>&)>;

  // REQUIRES: `calls` outlives it, and it outlives its calls.
  RunCalls(CallHandler& calls, Blocked blocked) : calls_(calls), blocked_(std::move(blocked)) {}

  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    CallOutcome outcome = co_await calls_.Handle(std::move(context), std::move(request));
    if (!outcome.blockages.empty()) blocked_(outcome.blockages);
    co_return outcome;
  }

 private:
  CallHandler& calls_;
  const Blocked blocked_;
};

}  // namespace millrace
