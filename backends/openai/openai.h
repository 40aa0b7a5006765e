// OpenAI's chat completions, and servers that speak them (vLLM, llama.cpp, Ollama's /v1 and others): one request, one
// whole answer. What is not said the same way by all is read leniently.
#pragma once

#include <memory>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend {

// The key itself never comes here: requests say in which header the server puts it.
std::unique_ptr<Backend> MakeOpenaiBackend(const v1::OpenaiBackend& config);

}  // namespace millrace::backend
