// Backend for OpenAI's chat completions, whole or streamed, and embeddings; for Azure's form of both, and for
// compatible servers (vLLM, llama.cpp, Ollama's /v1 and others). Reads leniently the parts of the protocol in which
// servers differ.
#pragma once

#include <memory>

#include "backends/sdk/backend.h"
#include "backends/sdk/kind.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend {

// The backend never sees the key: a request only names the header in which the server inserts it.
std::unique_ptr<Backend> MakeOpenaiBackend(const v1::OpenaiBackend& config);

BackendKind OpenaiKind();

}  // namespace millrace::backend
