// Loopback server of raw sockets that treats each connection as a test says, to imitate the worst providers.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace {

// One accepted connection, for the thread that serves it. Calls return false after the other side has closed it.
class ToxicConnection {
 public:
  ToxicConnection(int socket, std::atomic<int>& requests) : socket_(socket), requests_(requests) {}
  ~ToxicConnection();
  ToxicConnection(const ToxicConnection&) = delete;

  // Reads a whole request: head and a body of Content-Length bytes. Returns an empty text at the end of the connection.
  std::string ReadRequest();
  bool Write(std::string_view bytes);
  // Waits until the other side closes the connection.
  void WaitForClose();
  // Closes the connection in order, or by a reset.
  void Close();
  void Reset();
  int socket() const { return socket_; }

 private:
  int socket_;
  std::atomic<int>& requests_;
};

class ToxicServer {
 public:
  // Calls `serve` on a new thread for each connection; `number` counts them from 0.
  using Serve = std::function<void(ToxicConnection& connection, int number)>;
  explicit ToxicServer(Serve serve);
  ~ToxicServer();

  int port() const { return port_; }
  std::string url(std::string_view path = "/") const;
  // Numbers of complete requests and of connections, of the whole server.
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
  std::vector<int> sockets_;          // guarded by mutex_; the destructor shuts them down to wake threads that wait
  std::thread acceptor_;
};

// Returns a port of the loopback interface on which nobody listens.
int ClosedPort();

}  // namespace millrace
