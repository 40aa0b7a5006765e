// An OTLP receiver that counts spans and keeps none. It prints its port, and at SIGTERM the number of spans.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <atomic>
#include <cstdio>

#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace millrace {
namespace {

namespace pb = opentelemetry::proto::collector::trace::v1;

class Counter final : public pb::TraceService::Service {
 public:
  grpc::Status Export(grpc::ServerContext*, const pb::ExportTraceServiceRequest* request,
                      pb::ExportTraceServiceResponse*) override {
    for (const auto& resource : request->resource_spans()) {
      for (const auto& scope : resource.scope_spans()) spans_ += scope.spans_size();
    }
    return grpc::Status::OK;
  }
  int64_t spans() const { return spans_; }

 private:
  std::atomic<int64_t> spans_{0};
};

int Main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Counter counter;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&counter);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;
  fmt::print("listening on port {}\n", port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown();
  fmt::print("{} spans\n", counter.spans());
  return 0;
}

}  // namespace
}  // namespace millrace

int main() { return millrace::Main(); }
