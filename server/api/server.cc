#include "server/api/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/support/server_interceptor.h>

#include <google/protobuf/message_lite.h>

#include <atomic>
#include <optional>
#include <string_view>

#include "server/api/rpc.h"
#include "server/api/services.h"

namespace millrace::api {
namespace {

constexpr int kStreamsPerConnection = 100;
constexpr int kMetadataBytesMax = 8 << 10;
constexpr size_t kUnaccountedBytes = 256 << 10;

// Where messages that arrive are credited to their connection. The acceptor stands behind it while it lives.
class CreditLine {
 public:
  void Attach(Acceptor* acceptor) { acceptor_ = acceptor; }
  void Credit(const std::string& peer, size_t bytes) {
    if (Acceptor* acceptor = acceptor_) acceptor->Credit(peer, bytes);
  }

 private:
  std::atomic<Acceptor*> acceptor_{nullptr};
};

// Sees every message of every service, health and reflection included.
class CreditInterceptor final : public grpc::experimental::Interceptor {
 public:
  CreditInterceptor(CreditLine& line, grpc::experimental::ServerRpcInfo* info) : line_(line), info_(info) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Hook = grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Hook::POST_RECV_MESSAGE) && methods->GetRecvMessage() != nullptr) {
      if (peer_.empty()) peer_ = info_->server_context()->peer();
      size_t bytes = 0;
      // gRPC's own services take messages of other types, and small ones.
      if (std::string_view(info_->method()).starts_with("/millrace.")) {
        bytes = static_cast<const google::protobuf::MessageLite*>(methods->GetRecvMessage())->ByteSizeLong();
      }
      line_.Credit(peer_, bytes);
    }
    methods->Proceed();
  }

 private:
  CreditLine& line_;
  grpc::experimental::ServerRpcInfo* info_;
  std::string peer_;
};

class CreditInterceptors final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CreditInterceptors(CreditLine& line) : line_(line) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return new CreditInterceptor(line_, info);
  }

 private:
  CreditLine& line_;
};

class GrpcServer final : public Server {
 public:
  GrpcServer(Loop& loop, Service& service) : host_(loop, service) {}
  ~GrpcServer() override { Shutdown(); }

  Status Start(std::vector<Listener> listeners, const ServerOptions& options) {
    host_.EndAll(WithRetryDelay(
        MakeError(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE", "the server starts; try again in a moment"),
        std::chrono::milliseconds(200)));

    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    services_ = MakeServices(host_);
    for (const std::unique_ptr<grpc::Service>& service : services_) builder.RegisterService(service.get());
    builder.SetMaxReceiveMessageSize(options.max_message_bytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(std::make_unique<CreditInterceptors>(credit_));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    connections_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    if (!server_) return MakeError(absl::StatusCode::kInternal, "INTERNAL", "gRPC refused to start");
    SetHealth(false);

    AcceptorLimits limits;
    limits.connections_max = ConnectionsUnderFdLimit(options.max_connections);
    limits.unaccounted_bytes_max = static_cast<size_t>(options.max_message_bytes) + kUnaccountedBytes;
    acceptor_.emplace(std::move(listeners), limits, [this](int listener_fd, int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.listener_fd = listener_fd;
      connection.fd = fd;
      connections_->HandleNewConnection(&connection);
    });
    credit_.Attach(&*acceptor_);
    return absl::OkStatus();
  }

  void SetServing() override {
    host_.SetReady();
    SetHealth(true);
  }
  void SetNotServing() override { SetHealth(false); }

  void Shutdown() override {
    if (!server_) return;
    SetHealth(false);
    // Calls first: with their connections alive the clients hear why.
    host_.EndAll(WithRetryDelay(
        MakeError(absl::StatusCode::kUnavailable, "DRAINING", "the server is going down; try again later"),
        std::chrono::seconds(1)));
    credit_.Attach(nullptr);
    if (acceptor_) last_figures_ = acceptor_->Figures();
    acceptor_.reset();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
    server_.reset();
  }

  AcceptorFigures Figures() const override { return acceptor_ ? acceptor_->Figures() : last_figures_; }

 private:
  void SetHealth(bool serving) {
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    health->SetServingStatus("", serving);
    for (const std::string& name : ServiceNames()) health->SetServingStatus(name, serving);
  }

  RpcHost host_;
  CreditLine credit_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<Acceptor> acceptor_;
  AcceptorFigures last_figures_;
};

}  // namespace

StatusOr<std::unique_ptr<Server>> Server::Start(Loop& loop, Service& service, std::vector<Listener> listeners,
                                                const ServerOptions& options) {
  auto server = std::make_unique<GrpcServer>(loop, service);
  MR_RETURN_IF_ERROR(server->Start(std::move(listeners), options));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace millrace::api
