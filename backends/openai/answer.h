// Parser of a chat completion's HTTP response.
#pragma once

#include "backends/sdk/http_call.h"

namespace millrace::backend::openai {

// Returns Done, or Fail with the provider's error; Fail with BAD_RESPONSE if the response violates the protocol.
Action ReadAnswer(const Response& response);

}  // namespace millrace::backend::openai
