// Errors on the wire: absl::Status with a reason becomes grpc::Status with google.rpc details in its trailer.
#pragma once

#include <grpcpp/support/status.h>

#include "server/base/status.h"

namespace millrace::api {

// Returns the error with ErrorInfo, with RetryInfo if a retry helps, and with a BadRequest of as many violations as
// fit: all trailers of an answer together must stay below the 8 KiB that clients accept. An error without a reason is a
// bug: it is logged under an incident id, and the client gets only that id. Errors of libraries with the codes
// CANCELLED and DEADLINE_EXCEEDED have a reason of the same name (ReasonOf).
grpc::Status ToGrpcStatus(const Status& status);

}  // namespace millrace::api
