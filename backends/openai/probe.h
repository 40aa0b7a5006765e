// Probe of OpenAI or a compatible server: its list of models.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/sdk/probe.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::openai {

// `config` must outlive the probe. `models` are names as the configuration has them.
std::unique_ptr<Probe> MakeProbe(const v1::OpenaiBackend& config, std::vector<std::string> models);

}  // namespace millrace::backend::openai
