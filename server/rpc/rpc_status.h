// The end of a failed RPC as a response of HTTP, so that backends classify both alike.
#pragma once

#include <grpcpp/support/status.h>

#include "server/http/client.h"

namespace millrace {

// Returns the HTTP status that means the same as the status of an RPC that its server refused.
int HttpStatusOf(const grpc::Status& status);

// Returns headers of that response: `retry-after-ms` if the status has a google.rpc.RetryInfo.
HttpHeaders HeadersOf(const grpc::Status& status);

// Returns the status in words: `NOT_FOUND: no such model`.
std::string WordsOf(const grpc::Status& status);

}  // namespace millrace
