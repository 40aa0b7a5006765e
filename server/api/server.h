// The gRPC server: the services of millrace.v1, health and reflection, on a loopback address, on the socket of the data
// directory, or on both.
#pragma once

#include <memory>
#include <vector>

#include "server/api/acceptor.h"
#include "server/api/answers.h"
#include "server/api/listener.h"
#include "server/base/clock.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/engine/requests/apis.h"
#include "server/trace/tracer.h"

namespace millrace::api {

struct ServerOptions {
  int max_message_bytes = 9 << 20;
  int max_connections = 1000;
  trace::Tracer* tracer = nullptr;  // null: nothing is traced; must outlive the server
};

// Its methods may be called on any thread except gRPC's own and the loop's.
class Server {
 public:
  // Accepts connections at once. Until SetServing, health answers NOT_SERVING and calls fail with UNAVAILABLE.
  // `loop`, which another thread runs, and what `apis` refers to must outlive it. INTERNAL: gRPC refused to start.
  static StatusOr<std::unique_ptr<Server>> Start(Loop& loop, Apis apis, std::vector<Listener> listeners,
                                                 const ServerOptions& options);
  // Shuts down.
  virtual ~Server() = default;

  // Takes calls from now on; health answers SERVING.
  virtual void SetServing() = 0;

  // Health answers NOT_SERVING; calls are still taken.
  virtual void SetNotServing() = 0;

  // Accepts no new connection; open ones stay.
  virtual void StopListening() = 0;

  // Takes no more calls. Returns when the calls in progress have their answers, except those that wait for a run or
  // stream its events, or after `patience`. With Answers::kMade, does not wait for those that have no answer yet. The
  // loop must run.
  virtual void AwaitAnswers(Duration patience, Answers answers) = 0;

  // Accepts no new connection, and ends calls in progress with UNAVAILABLE (DRAINING). Returns when all connections are
  // closed, after about 1.5 s at most. The loop need not run any more.
  virtual void Shutdown() = 0;

  virtual AcceptorFigures Figures() const = 0;
};

}  // namespace millrace::api
