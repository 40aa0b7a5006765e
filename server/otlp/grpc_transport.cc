#include <grpcpp/grpcpp.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "server/base/text_file.h"
#include "server/otlp/transport.h"

namespace millrace::otlp {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using opentelemetry::proto::collector::trace::v1::TraceService;

constexpr size_t kCertificateMibMax = 1;
// gRPC waits up to two minutes before it connects again, in which a receiver that is back would be missed.
constexpr int kReconnectMillisMin = 200;
constexpr int kReconnectMillisMax = 5000;
constexpr int kReplyBytesMax = 1 << 20;

class GrpcTransport final : public Transport {
 public:
  GrpcTransport(std::shared_ptr<grpc::Channel> channel, Pairs headers)
      : stub_(TraceService::NewStub(channel)), headers_(std::move(headers)) {}

  Reply Send(const Request& request, Duration timeout) override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(timeout));
    for (const auto& [key, value] : headers_) context.AddMetadata(key, value);
    {
      const std::lock_guard lock(mutex_);
      if (is_cancelled_) return {.code = grpc::StatusCode::CANCELLED, .message = "the server is shutting down"};
      context_ = &context;
    }
    ExportTraceServiceResponse response;
    const grpc::Status status = stub_->Export(&context, request, &response);
    {
      const std::lock_guard lock(mutex_);
      context_ = nullptr;
    }
    if (!status.ok()) {
      return {.code = status.error_code(), .message = status.error_message(), .details = status.error_details()};
    }
    return {.message = response.partial_success().error_message(),
            .rejected = response.partial_success().rejected_spans()};
  }

  void Cancel() override {
    const std::lock_guard lock(mutex_);
    is_cancelled_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }

 private:
  const std::unique_ptr<TraceService::Stub> stub_;
  const Pairs headers_;
  std::mutex mutex_;
  bool is_cancelled_ = false;               // guarded by mutex_
  grpc::ClientContext* context_ = nullptr;  // of the Send that waits; guarded by mutex_
};

StatusOr<std::string> ReadPem(const std::string& path) {
  if (path.empty()) return std::string();
  return ReadTextFile(path, kCertificateMibMax);
}

}  // namespace

StatusOr<std::unique_ptr<Transport>> MakeGrpcTransport(const Endpoint& endpoint, const std::string& version) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  grpc::ChannelArguments arguments;
  if (endpoint.tls) {
    grpc::SslCredentialsOptions options;
    MR_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(endpoint.roots_file));
    MR_ASSIGN_OR_RETURN(options.pem_private_key, ReadPem(endpoint.key_file));
    MR_ASSIGN_OR_RETURN(options.pem_cert_chain, ReadPem(endpoint.certificate_file));
    credentials = grpc::SslCredentials(options);
  } else {
    // A proxy is another machine.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  arguments.SetUserAgentPrefix("OTel-OTLP-Exporter-Millrace/" + version);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the exporter counts its tries
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMillisMin);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMillisMin);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMillisMax);
  arguments.SetMaxReceiveMessageSize(kReplyBytesMax);
  // Its own connection, also in a process that has other channels to the same address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (endpoint.gzip) arguments.SetCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(endpoint.target, credentials, arguments);
  return std::unique_ptr<Transport>(new GrpcTransport(std::move(channel), endpoint.headers));
}

}  // namespace millrace::otlp
