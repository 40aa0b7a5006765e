// Accepts connections for gRPC 1.51, whose own listener never accepts again once accept() has failed for want of
// descriptors (CVE-2023-4785). It keeps descriptors spare, caps connections, and cuts those that send more than they
// were given credit for: headers that never end cost gRPC time by the square of their length (CVE-2023-33953), and no
// setting of gRPC stops them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/api/listener.h"
#include "server/api/tcp_traffic.h"
#include "server/base/fd.h"

namespace millrace::api {

struct AcceptorLimits {
  int connections_max = 1000;
  // Bytes that may have arrived on a connection without credit. More: it is cut within 50 ms. Only TCP; the unix socket
  // is this user's own.
  size_t unaccounted_bytes_max = (4u << 20) + (256u << 10);
};

struct AcceptorFigures {
  int64_t accepted = 0;
  int64_t refused = 0;  // at the limit of connections, or for want of descriptors
  int64_t cut = 0;      // sent too much
  int64_t open = 0;
};

// A thread that accepts.
class Acceptor {
 public:
  // Takes over a connection: non-blocking, its own to close. Called on the acceptor's thread.
  using HandOver = absl::AnyInvocable<void(int listener_fd, int fd)>;

  Acceptor(std::vector<Listener> listeners, AcceptorLimits limits, HandOver hand_over);
  // Closes the listeners; connections that were handed over live on.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;

  // The connection of `peer` (as gRPC names it: `ipv4:127.0.0.1:4711`) brought a message of this size. Any thread.
  void Credit(const std::string& peer, size_t bytes);

  AcceptorFigures Figures() const;

 private:
  // A connection as it is watched: a second descriptor of its socket.
  struct Watched {
    UniqueFd fd;
    std::string peer;
    bool is_tcp = false;
    TcpTraffic traffic;  // at the last look
    uint64_t unaccounted = 0;
  };

  void Run();
  void AcceptAll(const Listener& listener);
  void TakeOver(const Listener& listener, UniqueFd fd);
  void Look();

  std::vector<Listener> listeners_;
  const AcceptorLimits limits_;
  HandOver hand_over_;
  UniqueFd wake_;
  UniqueFd spare_;                // given up for a moment to accept, and close, a connection when there is no other
  std::vector<Watched> watched_;  // the thread's own

  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> credit_;  // guarded by mutex_: not yet counted, by peer
  AcceptorFigures figures_;                 // guarded by mutex_
  bool stopped_ = false;                    // guarded by mutex_

  std::thread thread_;  // last: it uses all the others
};

// Connections that leave descriptors for everything else under the process's limit: at most `wanted`.
int ConnectionsUnderFdLimit(int wanted);

}  // namespace millrace::api
