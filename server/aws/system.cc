#include "server/aws/system.h"

#include <cstdlib>
#include <filesystem>

#include "server/base/text_file.h"

namespace millrace {

AwsSystem MachineAwsSystem() {
  AwsSystem system;
  system.variable = [](const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
  system.read_file = [](const std::string& path) -> StatusOr<std::optional<std::string>> {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return std::nullopt;
    MR_ASSIGN_OR_RETURN(std::string text, ReadTextFile(path, 1));
    return std::optional<std::string>(std::move(text));
  };
  return system;
}

}  // namespace millrace
