// Classification of a provider's refusal: by its code, then its type, then the HTTP status. The status comes last
// because compatible servers differ most in it.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "backends/sdk/http_call.h"

namespace millrace::backend::openai {

// Classifies a response whose status is not 2xx.
Failure ReadFailure(const Response& response);

// Returns the text at a path (FindPath); empty if there is none.
std::string TextAt(const boost::json::value& value, std::string_view path);

}  // namespace millrace::backend::openai
