// A server of fake APIs on its own port.
#pragma once

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/v1/admin_service.grpc.pb.h"
#include "server/api/server.h"
#include "tests/api/fake_apis.h"

namespace millrace {

// Makes a channel that shares no connection with other channels to the same server.
inline std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

struct Served {
  // `at`: the port; 0: any.
  explicit Served(const api::ServerOptions& options = {}, int at = 0) {
    StatusOr<api::Listener> listener = api::Listener::Tcp("127.0.0.1:" + std::to_string(at));
    port = listener->port();
    std::vector<api::Listener> listeners;
    listeners.push_back(std::move(*listener));
    server = std::move(*api::Server::Start(on.loop, on.apis.apis(), std::move(listeners), options));
    server->SetServing();
  }

  std::string target() const { return "127.0.0.1:" + std::to_string(port); }

  UniqueFd OpenSocket() const {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd && connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.Reset();
    return fd;
  }

  // Returns true if a new client gets an answer.
  bool Answers() const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    context.set_wait_for_ready(true);
    v1::GetStatusResponse response;
    return v1::AdminService::NewStub(Connect(target()))->GetStatus(&context, {}, &response).ok();
  }

  LoopThread on;
  int port = 0;
  std::unique_ptr<api::Server> server;
};

}  // namespace millrace
