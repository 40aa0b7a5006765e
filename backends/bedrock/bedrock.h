// Backend for Amazon Bedrock: Converse, ConverseStream if the caller reads the answer while it is made, and InvokeModel
// for embeddings.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backends/sdk/backend.h"
#include "backends/sdk/kind.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend {

// Returns an environment variable; empty if it is not set.
using EnvironmentReader = std::function<std::string(const std::string& name)>;

// REQUIRES: `config` passed the kind's check, so that it names a region. The backend sees neither keys nor tokens: the
// server signs its requests, or adds the API key.
std::unique_ptr<Backend> MakeBedrockBackend(const v1::BedrockBackend& config);

BackendKind BedrockKind(EnvironmentReader variable);

}  // namespace millrace::backend
