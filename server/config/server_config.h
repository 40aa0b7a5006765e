// The server's configuration in YAML.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/kind.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"
#include "server/config/pipeline_file.h"

namespace millrace {

// Reads and checks a configuration, sets absent fields to their defaults, and puts profile files in place. Reads no
// secrets: their variables and files need not exist before they are used.
// INVALID_ARGUMENT (INVALID_DEFINITION) with every problem and its place.
StatusOr<v1::ServerConfig> ReadServerConfig(std::string_view text, std::string_view filename,
                                            const FileLoader& load_file, const backend::BackendKinds& kinds);

// Returns the configuration without a file: the backend `local` under the alias `local`.
v1::ServerConfig BuiltinServerConfig();

// Reads the behaviour of a simulated provider. INVALID_ARGUMENT (INVALID_DEFINITION).
StatusOr<v1::SimulatedProfile> ReadSimulatedProfile(std::string_view text, std::string_view filename);

}  // namespace millrace
