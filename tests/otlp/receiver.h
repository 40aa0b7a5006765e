// A small OTLP receiver: a gRPC server that keeps the spans that it gets.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace millrace::otlp {

class OtlpReceiver final : private opentelemetry::proto::collector::trace::v1::TraceService::Service {
 public:
  using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
  using Response = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
  using Span = opentelemetry::proto::trace::v1::Span;

  // Listens on a loopback port; 0: a free one.
  explicit OtlpReceiver(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~OtlpReceiver() override { server_->Shutdown(std::chrono::system_clock::now()); }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Decides about requests, on a thread of gRPC; absent: all are OK.
  std::function<grpc::Status(grpc::ServerContext&, const Request&, Response&)> reaction;

  // Waits until `done` returns true for the spans so far; false after a minute.
  bool Await(const std::function<bool(const std::vector<Span>&)>& done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return done(spans_); });
  }
  std::vector<Span> spans() {
    const std::lock_guard lock(mutex_);
    return spans_;
  }
  // The newest request without its spans, and its metadata.
  Request origin() {
    const std::lock_guard lock(mutex_);
    return origin_;
  }
  std::multimap<std::string, std::string> metadata() {
    const std::lock_guard lock(mutex_);
    return metadata_;
  }

 private:
  grpc::Status Export(grpc::ServerContext* context, const Request* request, Response* response) override {
    grpc::Status status = reaction ? reaction(*context, *request, *response) : grpc::Status::OK;
    const std::lock_guard lock(mutex_);
    metadata_.clear();
    for (const auto& [key, value] : context->client_metadata()) {
      metadata_.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
    }
    if (status.ok()) {
      origin_ = *request;
      for (auto& resource : *origin_.mutable_resource_spans()) {
        for (auto& scope : *resource.mutable_scope_spans()) {
          for (Span& span : *scope.mutable_spans()) spans_.push_back(std::move(span));
          scope.clear_spans();
        }
      }
    }
    changed_.notify_all();
    return status;
  }

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Span> spans_;  // guarded by mutex_, as are all below
  Request origin_;
  std::multimap<std::string, std::string> metadata_;
};

}  // namespace millrace::otlp
