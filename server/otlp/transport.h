// One try of one export. A seam, so that the exporter's rules are tested without a network.
#pragma once

#include <memory>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/otlp/reply.h"
#include "server/otlp/settings.h"

namespace millrace::otlp {

using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

class Transport {
 public:
  virtual ~Transport() = default;
  // Sends the request and waits for the reply. Blocks for `timeout` at most. One thread.
  virtual Reply Send(const Request& request, Duration timeout) = 0;
  // Ends a Send that waits, and every later one at once. Any thread.
  virtual void Cancel() = 0;
};

// Returns a transport over one gRPC channel. FILE_ERROR if a certificate can't be read.
StatusOr<std::unique_ptr<Transport>> MakeGrpcTransport(const Endpoint& endpoint, const std::string& version);

}  // namespace millrace::otlp
