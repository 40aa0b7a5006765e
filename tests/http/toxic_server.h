// A loopback server of raw sockets that does with each connection what a test says: the worst a provider can do.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace {

// One accepted connection, for the thread that serves it. Calls return false once the other side is gone.
class ToxicConnection {
 public:
  ToxicConnection(int socket, std::atomic<int>& requests) : socket_(socket), requests_(requests) {}
  ~ToxicConnection();
  ToxicConnection(const ToxicConnection&) = delete;

  // A whole request: its head and a body of Content-Length. Empty: there is none.
  std::string ReadRequest();
  bool Write(std::string_view bytes);
  // Waits until the other side closes.
  void WaitForClose();
  // Closes it in order, or by a reset.
  void Close();
  void Reset();
  int socket() const { return socket_; }

 private:
  int socket_;
  std::atomic<int>& requests_;
};

class ToxicServer {
 public:
  // `serve` is called on a thread of its own for each connection; `number` counts them from 0.
  using Serve = std::function<void(ToxicConnection& connection, int number)>;
  explicit ToxicServer(Serve serve);
  ~ToxicServer();

  int port() const { return port_; }
  std::string url(std::string_view path = "/") const;
  // Whole requests read, and connections accepted, of all.
  int requests() const { return requests_; }
  int connections() const { return connections_; }

 private:
  void Accept();

  const Serve serve_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> requests_{0};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<std::thread> threads_;  // guarded by mutex_
  std::vector<int> sockets_;          // guarded by mutex_; to wake those that wait at the end
  std::thread acceptor_;
};

// A port of the loopback interface at which nobody listens.
int ClosedPort();

}  // namespace millrace
