// What a whole HTTP answer of a chat completion says.
#pragma once

#include "backends/sdk/backend.h"

namespace millrace::backend::openai {

// Done, or Fail with what the provider complains of; BAD_RESPONSE where it is not of the protocol.
Action ReadAnswer(const HttpAnswered& answered);

}  // namespace millrace::backend::openai
