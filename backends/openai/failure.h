// What a provider's refusal means: by its code, then its type, then the status (protocols differ most in the last).
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "backends/sdk/backend.h"

namespace millrace::backend::openai {

// Of an answer whose status is not 2xx.
Failure ReadFailure(const HttpAnswered& answered);

// The text at a path (FindPath); empty where there is none.
std::string TextAt(const boost::json::value& value, std::string_view path);

}  // namespace millrace::backend::openai
