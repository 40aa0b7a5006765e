// The context of a request besides its message.
#pragma once

#include <memory>
#include <utility>

#include "server/base/clock.h"
#include "server/base/stop_signal.h"
#include "server/trace/span.h"

namespace millrace {

// Passed by value, first, to every method of the APIs. (Constructors make it no aggregate: GCC 12 would destroy one
// twice that is created inside a co_await.)
struct RequestContext {
  RequestContext() = default;
  explicit RequestContext(TimePoint answer_by, std::shared_ptr<StopSignal> client_left = nullptr)
      : deadline(answer_by), left(std::move(client_left)) {}

  // Time by which the client wants its answer. It bounds waiting (CreateRun.wait, WaitRun, Generate, pages of streams),
  // never a run.
  TimePoint deadline = kNever;
  // Stops when the client has gone: waits for it end. An attempt in flight is still read to its end and stored. Null:
  // nobody says whether the client is still there.
  std::shared_ptr<StopSignal> left;
  // The request's span; empty: it is not traced.
  trace::Ref trace;
};

}  // namespace millrace

// Declares the method of an API for a unary RPC of rpc_list.h.
#define MR_API_METHOD(Service, Name)                                                              \
  virtual ::millrace::Task<::millrace::StatusOr<v1::Name##Response>> Name(RequestContext context, \
                                                                          v1::Name##Request request) = 0;
