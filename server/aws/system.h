// Parts of the machine that AWS credentials are configured by, as functions, so that tests have their own.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "server/base/status.h"

namespace millrace {

struct AwsSystem {
  // Returns an environment variable; empty if it is not set.
  std::function<std::string(const std::string& name)> variable;
  // Returns the content of a file; nullopt if it does not exist; FILE_ERROR if it can't be read. Blocks. Any thread.
  std::function<StatusOr<std::optional<std::string>>(const std::string& path)> read_file;
};

// Returns the process's environment and the machine's files.
AwsSystem MachineAwsSystem();

}  // namespace millrace
