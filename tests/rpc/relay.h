// Passes bytes between clients and a server on this machine until it is cut, as a process that is killed would be.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <thread>
#include <vector>

#include "tests/http/toxic_server.h"

namespace millrace {

class Relay {
 public:
  explicit Relay(int port)
      : server_([this, port](ToxicConnection& connection, int) { Serve(connection.socket(), port); }) {}
  ~Relay() { Cut(); }

  int port() const { return server_.port(); }

  // Ends all connections.
  void Cut() {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }

 private:
  void Serve(int client, int port) {
    const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      {
        const std::lock_guard lock(mutex_);
        sockets_.push_back(peer);
      }
      std::thread back([peer, client] { Pump(peer, client); });
      Pump(client, peer);
      back.join();
      const std::lock_guard lock(mutex_);
      std::erase(sockets_, peer);
    }
    ::close(peer);
  }

  static void Pump(int from, int to) {
    char bytes[4096];
    for (ssize_t size; (size = ::recv(from, bytes, sizeof bytes, 0)) > 0;) ::send(to, bytes, size, MSG_NOSIGNAL);
    ::shutdown(to, SHUT_RDWR);
  }

  std::mutex mutex_;
  std::vector<int> sockets_;  // to the server; guarded by mutex_
  ToxicServer server_;
};

}  // namespace millrace
