// Errands: loading a model, unloading it, and pulling it to the server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"

namespace millrace::backend::ollama {

// Loads a model. `requests` are sent in order until one succeeds: the chat of a model that only embeds is refused.
std::unique_ptr<Exchange> MakeWarmUp(std::string model, std::vector<SendHttp> requests);

// Sends the request that unloads a model.
std::unique_ptr<Exchange> MakeUnload(std::string model, SendHttp request);

// Pulls a model. Deltas are lines of progress for people, each in place of the one before: `pulling 0123456789ab: 25%
// of 4.1 GB`.
std::unique_ptr<Exchange> MakePull(std::string model, SendHttp request);

}  // namespace millrace::backend::ollama
