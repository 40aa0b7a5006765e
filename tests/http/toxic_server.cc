#include "tests/http/toxic_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace millrace {
namespace {

int Listen(int& port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return listener;
}

}  // namespace

int ClosedPort() {
  int port = 0;
  ::close(Listen(port));
  return port;
}

ToxicConnection::~ToxicConnection() { Close(); }

std::string ToxicConnection::ReadRequest() {
  std::string request;
  while (true) {
    const size_t end = request.find("\r\n\r\n");
    if (end != std::string::npos) {
      const size_t length = request.find("Content-Length: ");
      const size_t body = length < end ? std::strtoul(request.c_str() + length + 16, nullptr, 10) : 0;
      if (request.size() >= end + 4 + body) {
        ++requests_;
        return request;
      }
    }
    char bytes[4096];
    const ssize_t size = ::recv(socket_, bytes, sizeof bytes, 0);
    if (size <= 0) return "";
    request.append(bytes, static_cast<size_t>(size));
  }
}

bool ToxicConnection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

void ToxicConnection::WaitForClose() {
  char byte = 0;
  while (::recv(socket_, &byte, 1, 0) > 0) {
  }
}

void ToxicConnection::Close() {
  if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  socket_ = -1;
}

void ToxicConnection::Reset() {
  // SO_LINGER of 0 makes close send a reset. Another descriptor takes the socket's number, so that the server's
  // destructor does not shut down a foreign socket.
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  const int nothing = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::dup2(nothing, socket_);
  ::close(nothing);
  socket_ = -1;
}

ToxicServer::ToxicServer(Serve serve) : serve_(std::move(serve)) {
  listener_ = Listen(port_);
  ::listen(listener_, 128);
  acceptor_ = std::thread([this] { Accept(); });
}

void ToxicServer::Accept() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int number = connections_++;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, number] {
      ToxicConnection connection(socket, requests_);
      serve_(connection, number);
    });
  }
}

ToxicServer::~ToxicServer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) ::close(socket);
}

std::string ToxicServer::url(std::string_view path) const { return fmt::format("http://127.0.0.1:{}{}", port_, path); }

}  // namespace millrace
