// Classification of what an Ollama server complains of: by the text, because its statuses say little (500 for a wrong
// option, 400 for a prompt that is too long), then by the status.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"

namespace millrace::backend::ollama {

// Bytes of a response that is not 2xx of which the rest is ignored.
inline constexpr size_t kFailureBytesMax = 64u << 10;

// Classifies a response whose status is not 2xx.
Failure ReadFailure(const Response& response, const std::string& model);

// Classifies the member `error` of a line in a stream whose status was 2xx. `line` may have the status that the server
// would have sent before its first line; without it, 500 is assumed.
Failure ReadErrorLine(const boost::json::value& line, const boost::json::value& error, const std::string& model);

// Returns the failure of a response that is not of the protocol.
Failure BadResponse(int status, std::string message);

// Returns the failure of a stream that ended before its terminal event.
Failure CutStream(int status, std::string message);

// Returns the failure of a prompt that the server did not read as a whole.
Failure PromptTooLong(int status, std::string message);

}  // namespace millrace::backend::ollama
