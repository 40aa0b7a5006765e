// The server's configuration, written as YAML.
#pragma once

#include <string>
#include <string_view>

#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"
#include "server/config/pipeline_file.h"

namespace millrace {

// Reads and checks a configuration; absent fields with a default are set to it, and profile files are put in place.
// INVALID_ARGUMENT (INVALID_DEFINITION) with every problem and its place. Secrets are not read: their variables and
// files need to be there only when they are used.
StatusOr<v1::ServerConfig> ReadServerConfig(std::string_view text, std::string_view filename,
                                            const FileLoader& load_file);

// Where there is no file: the backend `local` under the alias `local`.
v1::ServerConfig BuiltinServerConfig();

// How a simulated provider behaves, from a file of its own.
StatusOr<v1::SimulatedProfile> ReadSimulatedProfile(std::string_view text, std::string_view filename);

}  // namespace millrace
