// The gRPC server: the services of millrace.v1, health and reflection on a loopback address, on the socket of the data
// directory, or on both.
#pragma once

#include <memory>
#include <vector>

#include "server/api/acceptor.h"
#include "server/api/listener.h"
#include "server/base/clock.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/engine/requests/apis.h"

namespace millrace::api {

struct ServerOptions {
  int max_message_bytes = 4 << 20;
  int max_connections = 1000;
};

// Its members may be called on any thread but gRPC's own and the loop's.
class Server {
 public:
  // Accepts connections at once, and answers health with NOT_SERVING and calls with UNAVAILABLE until SetServing.
  // `loop`, which another thread runs, and what `apis` refers to must outlive it. INTERNAL: gRPC refused to start.
  static StatusOr<std::unique_ptr<Server>> Start(Loop& loop, Apis apis, std::vector<Listener> listeners,
                                                 const ServerOptions& options);
  // As Shutdown, at once.
  virtual ~Server() = default;

  // From here on calls are taken, and health says so.
  virtual void SetServing() = 0;

  // Health says NOT_SERVING; calls are taken still.
  virtual void SetNotServing() = 0;

  // No new connection; those that are open live on.
  virtual void StopListening() = 0;

  // No new connection; calls in progress are ended with UNAVAILABLE (DRAINING); returns when all is over. The loop need
  // not run any more.
  virtual void Shutdown() = 0;

  virtual AcceptorFigures Figures() const = 0;
};

}  // namespace millrace::api
