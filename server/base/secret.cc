#include "server/base/secret.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

constexpr size_t kFileBytesMax = 64u << 10;

}  // namespace

StatusOr<Secret> Secret::FromEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') {
    return MakeError(absl::StatusCode::kNotFound, "INVALID_DEFINITION",
                     fmt::format("the environment variable {} is not set", Excerpt(name)));
  }
  return Secret(value);
}

StatusOr<Secret> Secret::FromFile(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  std::ifstream file(path, std::ios::binary);
  std::string value(kFileBytesMax + 1, '\0');
  file.read(value.data(), static_cast<std::streamsize>(value.size()));
  value.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (value.size() > kFileBytesMax) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "INVALID_DEFINITION",
                     fmt::format("the secret file {} has more than {} bytes", Excerpt(name), kFileBytesMax));
  }
  if (value.ends_with('\n')) value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
  if (value.empty()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "INVALID_DEFINITION",
                     fmt::format("the secret file {} can't be read, or is empty", Excerpt(name)));
  }
  return Secret(std::move(value));
}

std::string Secret::Redact(std::string text) const {
  static constexpr std::string_view kInstead = "[secret]";
  if (value_.empty()) return text;
  for (size_t at = text.find(value_); at != std::string::npos; at = text.find(value_, at + kInstead.size())) {
    text.replace(at, value_.size(), kInstead);
  }
  return text;
}

}  // namespace millrace
