// Requests of clients about the server itself: its status, its models, its caches.
#pragma once

#include "millrace/v1/admin_service.pb.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/engine/requests/request_context.h"
#include "server/engine/requests/rpc_list.h"

namespace millrace {

// One coroutine for each unary RPC of AdminService. Engine thread. Requests have passed no check: every method checks
// its own, and returns the errors that the proto file lists.
class AdminApi {
 public:
  virtual ~AdminApi() = default;

  MR_ADMIN_RPCS(MR_API_METHOD)
};

}  // namespace millrace
