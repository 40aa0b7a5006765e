#include "server/api/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <optional>

#include "grpc/health/v1/health.pb.h"

#include "server/api/rpc.h"
#include "server/api/services.h"

namespace millrace::api {
namespace {

constexpr int kStreamsPerConnection = 100;
constexpr int kMetadataBytesMax = 8 << 10;
// How long the last bytes of connections that gRPC has closed may take.
constexpr std::chrono::milliseconds kLastBytes(500);

Status Ending() {
  return WithRetryDelay(MakeError(Reason::kDraining, "the server is shutting down; try again later"),
                        std::chrono::seconds(1));
}

class GrpcServer final : public Server {
 public:
  GrpcServer(Loop& loop, Apis apis, trace::Tracer* tracer) : host_(loop, apis, tracer) {}
  ~GrpcServer() override { Shutdown(); }

  Status Start(std::vector<Listener> listeners, const ServerOptions& options) {
    host_.EndAll(WithRetryDelay(MakeError(Reason::kStoreUnavailable, "the server is starting; try again in a moment"),
                                std::chrono::milliseconds(200)));

    grpc::EnableDefaultHealthCheckService(true);
    // gRPC's own health service has no descriptor: with this one linked, reflection can describe it.
    grpc::health::v1::HealthCheckRequest::descriptor();
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
    connections_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    if (!server_) return MakeError(Reason::kInternal, "gRPC refused to start");
    SetHealth(false);

    const auto hand_over = [this](int listener_fd, int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.listener_fd = listener_fd;
      connection.fd = fd;
      connections_->HandleNewConnection(&connection);
    };
    acceptor_.emplace(std::move(listeners), ConnectionsUnderFdLimit(options.max_connections), host_.loop().clock(),
                      hand_over);
    return absl::OkStatus();
  }

  void SetServing() override {
    host_.SetReady();
    SetHealth(true);
  }
  void SetNotServing() override { SetHealth(false); }
  void StopListening() override {
    if (acceptor_) acceptor_->StopListening();
  }

  void AwaitAnswers(Duration patience, Answers answers) override { host_.AwaitAnswers(Ending(), patience, answers); }

  void Shutdown() override {
    if (!server_) return;
    SetHealth(false);
    if (acceptor_) acceptor_->StopListening();
    // Calls end first: while their connections are open, the clients learn why.
    host_.EndAll(Ending());
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
    if (acceptor_) acceptor_->Finish(kLastBytes);
    server_.reset();
  }

  AcceptorFigures Figures() const override { return acceptor_ ? acceptor_->Figures() : AcceptorFigures(); }

 private:
  void SetHealth(bool serving) {
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    health->SetServingStatus("", serving);
    for (const std::string& name : ServiceNames()) health->SetServingStatus(name, serving);
  }

  RpcHost host_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<Acceptor> acceptor_;
};

}  // namespace

StatusOr<std::unique_ptr<Server>> Server::Start(Loop& loop, Apis apis, std::vector<Listener> listeners,
                                                const ServerOptions& options) {
  auto server = std::make_unique<GrpcServer>(loop, apis, options.tracer);
  MR_RETURN_IF_ERROR(server->Start(std::move(listeners), options));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace millrace::api
