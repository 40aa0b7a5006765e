// The files of a server that no run may touch: its store, its configuration, and what that and the environment name as
// secrets, keys and certificates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/files/protected_files.h"

namespace millrace {

// Returns the files of a server that is configured by `config`, which was read from `config_path` (empty: none).
// Relative paths of the configuration are below `config_dir`. `variable` returns a variable of the environment. A file
// `millrace.yaml` in the working directory counts as configuration even if it does not exist: the next command would
// take it for one.
std::vector<ProtectedFile> OwnFiles(const v1::ServerConfig& config, const std::string& config_path,
                                    const std::string& config_dir,
                                    const std::function<std::optional<std::string>(const std::string&)>& variable);

// Returns them with the environment of this process.
std::vector<ProtectedFile> OwnFiles(const v1::ServerConfig& config, const std::string& config_path,
                                    const std::string& config_dir);

}  // namespace millrace
