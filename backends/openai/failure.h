// What a provider's refusal means: by its code, then its type, then the status (protocols differ most in the last).
#pragma once

#include "backends/sdk/backend.h"

namespace millrace::backend::openai {

// Of an answer whose status is not 2xx.
Failure ReadFailure(const HttpAnswered& answered);

}  // namespace millrace::backend::openai
