// Bodies of requests.
#pragma once

#include <cstdint>
#include <string>

#include "backends/ollama/options.h"
#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::ollama {

// Returns the JSON of a request to /api/chat; equal arguments give equal bytes. Always asks for a stream, so that time
// limits between bytes hold while a slow model writes. Forbids the server to cut the prompt (`truncate`) or to drop its
// beginning while the model writes (`shift`), which servers before 0.12.6 ignore: answer.h checks it.
std::string ChatBody(const v1::OllamaBackend& config, const Options& options, const Request& request, int64_t num_ctx);

// Returns the JSON of requests that load a model as the questions with this context do: to /api/chat, and to /api/embed
// for a model that does not chat.
std::string LoadByChatBody(const v1::OllamaBackend& config, const Options& options, const std::string& model,
                           int64_t num_ctx);
std::string LoadByEmbedBody(const v1::OllamaBackend& config, const Options& options, const std::string& model,
                            int64_t num_ctx);

// Returns the JSON of a request to /api/chat that unloads a model.
std::string UnloadBody(const std::string& model);

// Returns the JSON of a request to /api/pull.
std::string PullBody(const std::string& model);

// Returns the JSON of a request to /api/embed.
std::string EmbedBody(const v1::OllamaBackend& config, const Options& options, const EmbedRequest& request,
                      int64_t num_ctx);

}  // namespace millrace::backend::ollama
