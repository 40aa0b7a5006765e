// Probe of an Ollama server: its version, its models with their digests, and those that are loaded.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/sdk/probe.h"

namespace millrace::backend::ollama {

// Makes a request GET of a path.
using MakeGet = std::function<SendHttp(std::string_view path)>;

// `models` are names as the configuration has them.
std::unique_ptr<Probe> MakeProbe(MakeGet get, std::vector<std::string> models);

// Returns the name under which a server lists a model: in lower case, without the default host and namespace
// (`registry.ollama.ai/library/`), with its tag, which is `latest` by default.
std::string ListedName(std::string_view model);

}  // namespace millrace::backend::ollama
