// Client of a server's API with one blocking method per RPC. Errors carry the reason and details that the server sent,
// in the form of server/base/status.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "millrace/v1/admin_service.pb.h"
#include "millrace/v1/completion_service.pb.h"
#include "millrace/v1/pipeline_service.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/engine/requests/rpc_list.h"

namespace millrace::client {

// Thread-safe. Interrupt knows only one call, so make one at a time if it may be used.
class Client {
 public:
  // Makes a client of `target`, which is `host:port` or `unix:PATH`. Connects with the first call, or blocks up to
  // `patience` until a server listens there.
  static std::unique_ptr<Client> Dial(const std::string& target, Duration patience = Duration(0));
  virtual ~Client() = default;

#define MR_DECLARE(Service, Name) virtual StatusOr<v1::Name##Response> Name(const v1::Name##Request& request) = 0;
  MR_ALL_RPCS(MR_DECLARE)
#undef MR_DECLARE

  // Passes the events after `request.after` to `take`, until the run has ended, an error, Interrupt, or `take` returns
  // false.
  virtual Status WatchRun(const v1::WatchRunRequest& request, const std::function<bool(const v1::RunEvent&)>& take) = 0;

  // Passes the events of the stream to `take`. The last one is the answer, unless an error is returned.
  virtual Status StreamGenerate(const v1::StreamGenerateRequest& request,
                                const std::function<void(const v1::StreamGenerateResponse&)>& take) = 0;

  // Returns true once there is a connection to the server, or false after `patience`. Blocks. Between calls gRPC looks
  // at a connection that it makes every 5 s only, so a pause that only sleeps notices a server up to 5 s too late for
  // each try.
  virtual bool AwaitConnection(Duration patience) = 0;

  // Limits the time of later calls except WatchRun; they then fail with DEADLINE_EXCEEDED. 0: no limit.
  virtual void SetTimeout(Duration timeout) = 0;

  // Ends the current call and every later one with CANCELLED. Any thread.
  virtual void Interrupt() = 0;
  // Allows calls again after Interrupt.
  virtual void Reset() = 0;
};

}  // namespace millrace::client
