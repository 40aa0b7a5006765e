// Bodies of requests: chat completions and embeddings.
#pragma once

#include <string>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::openai {

// Returns JSON; equal questions give equal bytes. A schema is sent as `response_format` without `strict`, which would
// refuse most schemas (it requires all properties and forbids `oneOf`); answers are checked against the schema later
// anyway. For a server that takes no schema, the system message contains it as an instruction.
// `streams`: the answer is requested as a stream.
std::string QuestionBody(const v1::OpenaiBackend& config, const Request& request, bool streams);

std::string EmbeddingBody(const v1::OpenaiBackend& config, const EmbedRequest& request);

}  // namespace millrace::backend::openai
