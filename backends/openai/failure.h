// Classification of a provider's refusal: by its code, then its type, then the HTTP status. The status comes last
// because compatible servers differ most in it.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"

namespace millrace::backend::openai {

// Classifies a response whose status is not 2xx, or an error in a response with status 2xx; `body` is its body, or the
// data of an event. Keeps the wait and the request's id of the headers.
Failure ReadFailure(const Head& head, std::string_view body);

// Returns the failure (BAD_RESPONSE) of a complete response that violates the protocol.
Failure BadAnswer(const Head& head, std::string_view message);

// Returns true if the outcome is a passing fault of the target.
bool MayBeRetried(Outcome outcome);

// Header by which OpenAI finds a request again, in lower case.
inline constexpr char kRequestId[] = "x-request-id";

}  // namespace millrace::backend::openai
