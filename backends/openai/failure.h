// Classification of a provider's refusal: by its code, then its type, then the HTTP status. The status comes last
// because compatible servers differ most in it.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"

namespace millrace::backend::openai {

// Classifies a response whose status is not 2xx, or an error in a response with status 2xx; `body` is its body, or the
// data of an event. Keeps the wait and the request's id of the headers. If the server does not know the path, the
// message says how to correct `base_url`.
Failure ReadFailure(const v1::OpenaiBackend& config, const Head& head, std::string_view body);

// Returns the failure (BAD_RESPONSE) of a complete response that violates the protocol.
Failure BadAnswer(const Head& head, std::string_view message);

// Returns that failure for a body that is not JSON, for the reason `error`.
Failure NotJson(const v1::OpenaiBackend& config, const Head& head, std::string_view body, const Status& error);

// Returns true if the outcome is a passing fault of the target.
bool MayBeRetried(Outcome outcome);

// Header by which OpenAI finds a request again, in lower case.
inline constexpr char kRequestId[] = "x-request-id";

}  // namespace millrace::backend::openai
