// Accepts connections for gRPC 1.51, whose own listener stops for good once accept() has failed for lack of descriptors
// (CVE-2023-4785). The acceptor keeps spare descriptors, limits the number of connections, and relays each through a
// guard that cuts connections which would harm gRPC.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/api/listener.h"
#include "server/api/relay.h"
#include "server/base/clock.h"
#include "server/base/fd.h"

namespace millrace::api {

struct AcceptorFigures {
  int64_t accepted = 0;
  int64_t refused = 0;  // at the limit of connections, or for want of descriptors
  int64_t cut = 0;      // by the guard
  int64_t open = 0;     // now
};

// A thread that accepts connections and relays their bytes.
class Acceptor {
 public:
  // Takes the inner end of a connection: non-blocking, and closed by whoever takes it. Called on the acceptor's thread.
  using HandOver = absl::AnyInvocable<void(int listener_fd, int fd)>;

  Acceptor(std::vector<Listener> listeners, int connections_max, const Clock& clock, HandOver hand_over);
  // Ends the connections that are still open.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;

  // Closes the listeners; open connections stay. Any thread.
  void StopListening();
  // Returns when gRPC has ended every connection and its last bytes are on their way, or after `patience`.
  void Finish(Duration patience);

  AcceptorFigures Figures() const;

 private:
  enum class Phase { kListen, kRelay, kFinish };

  void Run();
  void Accept(const Listener& listener);
  void TakeOver(const Listener& listener, UniqueFd fd);
  void Serve(uint64_t id);
  void Watch(int fd, uint64_t tag, uint32_t events, uint32_t& asked);
  void SetPhase(Phase phase, TimePoint finish_by);

  std::vector<Listener> listeners_;
  const int connections_max_;
  const Clock& clock_;
  HandOver hand_over_;
  UniqueFd wake_;
  UniqueFd poll_;
  UniqueFd spare_;  // closed for a moment to accept, and close, a connection when no other descriptor is left
  // Used by the thread only, as is last_id_. Keyed by a number of our own, since descriptors are reused.
  std::map<uint64_t, std::unique_ptr<Relay>> relays_;
  uint64_t last_id_ = 0;

  mutable std::mutex mutex_;
  AcceptorFigures figures_;       // guarded by mutex_
  Phase phase_ = Phase::kListen;  // guarded by mutex_
  TimePoint finish_by_{};         // guarded by mutex_

  std::thread thread_;  // last: it uses all the others
};

// Returns how many connections leave enough of the process's descriptors for everything else: at most `wanted`, at
// least 4.
int ConnectionsUnderFdLimit(int wanted);

}  // namespace millrace::api
