// Parser of a chat completion that comes as one JSON body.
#pragma once

#include <string_view>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::openai {

// Returns Done, or Fail with the provider's error; Fail with BAD_RESPONSE if the response violates the protocol.
Action ReadAnswer(const v1::OpenaiBackend& config, const Head& head, std::string_view body);

}  // namespace millrace::backend::openai
