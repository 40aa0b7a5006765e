// Backend for a process in any language that serves millrace.backend.v1.BackendService.
#pragma once

#include <memory>
#include <string>

#include "backends/sdk/kind.h"

namespace millrace::backend {

BackendKind RemoteKind();

// Makes a backend whose requests go to `origin`, `grpc://host:port` or `grpcs://host:port`.
std::unique_ptr<Backend> MakeRemoteBackend(const v1::RemoteBackend& config, const std::string& origin);

}  // namespace millrace::backend
