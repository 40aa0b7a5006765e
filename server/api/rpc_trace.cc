#include "server/api/rpc_trace.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "server/trace/names.h"

namespace millrace::api {
namespace {

// RPCs whose length is an answer's. Others wait because their clients ask them to.
constexpr std::string_view kAnswers[] = {"millrace.v1.CompletionService/Generate",
                                         "millrace.v1.CompletionService/StreamGenerate",
                                         "millrace.v1.CompletionService/Embed"};

std::vector<std::string_view> ValuesOf(const grpc::CallbackServerContext& context, const char* key) {
  std::vector<std::string_view> values;
  const auto [begin, end] = context.client_metadata().equal_range(key);
  for (auto each = begin; each != end; ++each) values.emplace_back(each->second.data(), each->second.size());
  return values;
}

// The conventions: a server's span has failed only if the server, and not the request, is at fault.
bool IsServersFault(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

RpcCaller::RpcCaller(trace::Tracer* tracer, const char* method, const grpc::CallbackServerContext& context,
                     const Clock& clock)
    : tracer_(tracer), method_(method) {
  if (tracer_ == nullptr) return;
  start_ = clock.Now();
  if (tracer_->propagates()) {
    parent_ =
        trace::ReadTraceContext(ValuesOf(context, trace::kTraceparentKey), ValuesOf(context, trace::kTracestateKey));
  }
}

RpcTrace::RpcTrace(RpcCaller caller) {
  if (caller.tracer_ == nullptr) return;
  trace::Beginning beginning{.name = caller.method_, .kind = trace::SpanKind::kServer};
  beginning.parent = std::move(caller.parent_);
  beginning.start = caller.start_;
  const bool is_answer = std::find(std::begin(kAnswers), std::end(kAnswers), caller.method_) != std::end(kAnswers);
  if (is_answer) beginning.slow_after = caller.tracer_->slow_after();
  span_ = caller.tracer_->Begin(std::move(beginning));
  span_.Set(trace::kRpcSystem, "grpc");
  span_.Set(trace::kRpcMethod, caller.method_);
}

RpcTrace::~RpcTrace() { End(absl::CancelledError("the client left")); }

void RpcTrace::End(const Status& status) {
  if (!span_) return;
  span_.Set(trace::kRpcStatus, absl::StatusCodeToString(status.code()));
  if (IsServersFault(status.code())) {
    span_.Fail(ReasonNameOf(status), MessageOf(status));
  } else if (!status.ok()) {
    span_.Set(trace::kErrorType, ReasonNameOf(status));
  }
  span_.End();
}

}  // namespace millrace::api
