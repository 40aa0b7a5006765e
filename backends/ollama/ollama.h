// Backend for Ollama's own API: chats by /api/chat, streamed, and embeddings by /api/embed.
#pragma once

#include <memory>

#include "backends/sdk/backend.h"
#include "backends/sdk/kind.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend {

BackendKind OllamaKind();

// REQUIRES: the options passed CheckOptions (backends/ollama/options.h).
std::unique_ptr<Backend> MakeOllamaBackend(const v1::OllamaBackend& config);

}  // namespace millrace::backend
