#include "server/base/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>


namespace millrace {
namespace {

Status CanNotBeRead(const std::string& path) {
  return MakeError(Reason::kFileError, fmt::format("{} can't be read: {}", Excerpt(path, 256), std::strerror(errno)));
}

}  // namespace

StatusOr<std::string> ReadTextFile(const std::string& path, size_t mib_max) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return CanNotBeRead(path);
  return ReadTextFile(file, path, mib_max);
}

StatusOr<std::string> ReadTextFile(const UniqueFd& file, const std::string& path, size_t mib_max) {
  std::string text((mib_max << 20) + 1, '\0');
  size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CanNotBeRead(path);
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  if (length == text.size()) {
    return MakeError(Reason::kInvalidDefinition, fmt::format("{} is larger than {} MiB", Excerpt(path, 256), mib_max));
  }
  text.resize(length);
  return text;
}

}  // namespace millrace
