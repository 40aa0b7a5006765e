// A question as the body of a chat completion request.
#pragma once

#include <string>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::openai {

// JSON; the same question gives the same bytes. A schema goes as `response_format`, without strictness: `strict`
// refuses most schemas (all properties required, no `oneOf`), and answers are checked against the schema here anyway.
// For a server that takes none, it is put into words in the system message.
std::string QuestionBody(const v1::OpenaiBackend& config, const Request& request);

}  // namespace millrace::backend::openai
