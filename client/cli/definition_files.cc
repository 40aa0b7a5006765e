#include "client/cli/definition_files.h"

#include <filesystem>

#include "client/lib/holder.h"
#include "server/base/text_file.h"
#include "server/config/server_config.h"
#include "server/files/files.h"
#include "server/process/coordinator.h"
#include "server/process/own_files.h"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDefinitionFileMibMax = 4;

std::vector<ProtectedFile> FilesOfConfiguration(const std::string& given) {
  const std::string path = client::ConfigPath(given);
  v1::ServerConfig config = BuiltinServerConfig();
  if (!path.empty()) {
    if (StatusOr<v1::ServerConfig> loaded = LoadServerConfig(path); loaded.ok()) config = *std::move(loaded);
  }
  return OwnFiles(config, path, fs::path(path).parent_path().string());
}

}  // namespace

FileLoader DefinitionLoader(const std::string& pipeline_path, const std::string& config) {
  std::error_code error;
  const fs::path folder = fs::absolute(pipeline_path, error).parent_path();
  const FileRoots files = FileRoots::OfDefinitions({folder.string(), "."}, FilesOfConfiguration(config));
  return [folder, files](std::string_view name) -> StatusOr<std::string> {
    const std::string path = (folder / name).string();
    MR_ASSIGN_OR_RETURN(const UniqueFd file, files.OpenToRead(path));
    return ReadTextFile(file, path, kDefinitionFileMibMax);
  };
}

}  // namespace millrace::cli
