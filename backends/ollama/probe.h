// Probe of an Ollama server: its version, its models with their digests, and those that are loaded.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backends/sdk/probe.h"

namespace millrace::backend::ollama {

// Makes a request GET of a path.
using MakeGet = std::function<SendHttp(std::string_view path)>;

std::unique_ptr<Probe> MakeProbe(MakeGet get);

}  // namespace millrace::backend::ollama
