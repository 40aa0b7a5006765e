// Looks, without starting, for everything that would keep a server from starting with a configuration, or from doing
// what the configuration says.
#pragma once

#include <string>
#include <vector>

#include "backends/builtin.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace {

// Checks all of a configuration that LoadServerConfig accepted: the data directory and its disk, the folders, the
// address, every backend with its secret, and traces. Returns a line for each problem, which begins with the setting;
// warnings go to the log. Makes nothing that stays: directories and the file that it makes to try the data directory
// are removed. Blocks.
std::vector<std::string> CheckStart(const v1::ServerConfig& config, const std::string& config_dir,
                                    const backend::BackendKinds& kinds = backend::BuiltinBackends());

// Returns a line for each folder of `files` that is not there, is not a directory or can't be used.
std::vector<std::string> FolderProblems(const v1::ServerConfig& config);

}  // namespace millrace
