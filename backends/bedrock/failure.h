// Classification of Bedrock's errors, by their names and then by the HTTP status.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "backends/sdk/event_stream.h"
#include "backends/sdk/http_call.h"
#include "server/base/status.h"

namespace millrace::backend::bedrock {

// Classifies a response whose status is not 2xx.
Failure ReadFailure(const Response& response);

// Classifies a message of an event stream whose `:message-type` is `exception` or `error`: the HTTP status was 200, and
// a part of the answer may have come before it.
Failure ReadStreamFailure(const EventMessage& message);

// Returns the error of a question that can't be sent, and its failure.
Status RefuseQuestion(std::string_view why);
Failure NotAsked(const Status& refusal);

// Returns the failure of a response that violates the protocol.
Failure BadResponse(std::string message, int http_status = 200);
// Returns the failure of a response with a good status that ended before its answer did.
Failure Cut(std::string message);

}  // namespace millrace::backend::bedrock
