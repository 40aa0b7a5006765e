// The four gRPC services of millrace.v1 over the APIs of the engine.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>
#include <vector>

#include "server/api/rpc.h"

namespace millrace::api {

// Returns the services. `host` must outlive them.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(RpcHost& host);

// Returns the services' full names, for health.
std::vector<std::string> ServiceNames();

}  // namespace millrace::api
