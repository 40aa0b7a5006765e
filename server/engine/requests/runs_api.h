// Requests of clients about runs and their items.
#pragma once

#include <vector>

#include "millrace/v1/run_service.pb.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/engine/requests/request_context.h"
#include "server/engine/requests/rpc_list.h"

namespace millrace {

// One coroutine for each unary RPC of RunService, and one for a page of each stream. Engine thread. Requests have
// passed no check: every method checks its own, and returns the errors that the proto file lists.
class RunsApi {
 public:
  virtual ~RunsApi() = default;

  MR_RUN_RPCS(MR_API_METHOD)

  // A page of a stream: what came after the request's position. Resumes when something came, the stream has ended, or
  // at the context's deadline (then the page is empty and not the end). The caller asks again with the last position.
  struct EventPage {
    std::vector<v1::RunEvent> events;
    bool end = false;
  };
  virtual Task<StatusOr<EventPage>> NextEvents(RequestContext context, v1::WatchRunRequest request) = 0;
  struct ItemPage {
    std::vector<v1::StreamItemsResponse> items;
    bool end = false;
  };
  virtual Task<StatusOr<ItemPage>> NextItems(RequestContext context, v1::StreamItemsRequest request) = 0;
};

}  // namespace millrace
