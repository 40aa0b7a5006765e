// The span of one RPC, by OpenTelemetry's conventions for RPC. Its parent is the client's span, if the metadata has a
// valid `traceparent`.
#pragma once

#include <grpcpp/grpcpp.h>

#include <optional>

#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/trace/tracer.h"

namespace millrace::api {

// Facts for a span that only gRPC's thread knows; spans begin on the loop's.
class RpcCaller {
 public:
  // `tracer` may be null: then nothing is read. `method` is a literal, such as `millrace.v1.RunService/GetRun`.
  RpcCaller(trace::Tracer* tracer, const char* method, const grpc::CallbackServerContext& context, const Clock& clock);

 private:
  friend class RpcTrace;
  trace::Tracer* tracer_;
  const char* method_;
  std::optional<trace::TraceContext> parent_;
  TimePoint start_{};
};

// Loop's thread. Ends when it is destroyed, as cancelled unless End was called.
class RpcTrace {
 public:
  explicit RpcTrace(RpcCaller caller);
  RpcTrace(RpcTrace&&) noexcept = default;
  ~RpcTrace();

  trace::Ref ref() const { return span_.ref(); }
  void End(const Status& status);

 private:
  trace::Span span_;
};

}  // namespace millrace::api
