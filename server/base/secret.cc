#include "server/base/secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "server/base/fd.h"

namespace millrace {
namespace {

constexpr size_t kFileBytesMax = 64u << 10;
constexpr mode_t kModeOfOthers = S_IRWXG | S_IRWXO;

Status Refuse(std::string_view why) { return MakeError(Reason::kInvalidDefinition, why); }

bool IsReadOnlyMount(int fd) {
  struct statvfs mount {};
  return ::fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
}

StatusOr<std::string> ReadAll(int fd) {
  std::string value(kFileBytesMax + 1, '\0');
  size_t length = 0;
  while (length < value.size()) {
    const ssize_t got = ::read(fd, value.data() + length, value.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Refuse(fmt::format("can't be read: {}", std::strerror(errno)));
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  if (length > kFileBytesMax) return Refuse(fmt::format("has more than {} bytes", kFileBytesMax));
  value.resize(length);
  return value;
}

// Returns true for `NAME=value`, a line of a shell or an `.env` file. Keys have `=` at their end at most (Base64).
bool HasName(std::string_view value) {
  const size_t equals = value.find('=');
  if (equals == 0 || equals == std::string_view::npos || (value[0] >= '0' && value[0] <= '9')) return false;
  const auto is_of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  const std::string_view name = value.substr(0, equals);
  return std::all_of(name.begin(), name.end(), is_of_name) &&
         value.find_first_not_of('=', equals) != std::string_view::npos;
}

// Returns what is wrong with a secret without line ends; empty: nothing.
std::string FaultOf(std::string_view value) {
  if (value.size() > 1 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front()) {
    return "has quotes around its value: remove them";
  }
  if (value.front() == '"' || value.front() == '\'') return "begins with a quote";
  for (const std::string_view around : {"Bearer ", "bearer ", "Token ", "export "}) {
    if (value.starts_with(around)) return fmt::format("begins with `{}`: give the key alone", around);
  }
  if (value.find(" #") != std::string_view::npos) return "has a comment after the key: remove it";
  for (size_t i = 0; i < value.size(); ++i) {
    const auto byte = static_cast<unsigned char>(value[i]);
    if (byte >= 0x20 && byte < 0x7f) continue;
    const char* const kind = byte == '\n' || byte == '\r' ? "a line end"
                             : byte >= 0x80               ? "a character that is not ASCII"
                                                          : "a control character";
    return fmt::format("has {} after {} characters: a key is one line of ASCII", kind, i);
  }
  if (HasName(value)) return "begins with a name and `=`: give the key alone";
  if (value.back() == ',' || value.back() == ';') return "ends with `,` or `;`: give the key alone";
  if (value.front() == '$') return "begins with `$`: it is the name of a variable, not its value";
  if (value.front() == '<' && value.back() == '>') return "is `<...>`, which stands for a key: give the key";
  if (const size_t at = value.find_first_of(" \"'`\\"); at != std::string_view::npos) {
    const std::string_view kind = value[at] == ' ' ? "a blank" : value[at] == '\\' ? "a backslash" : "a quote";
    return fmt::format("has {} after {} characters: give the key alone", kind, at);
  }
  return "";
}

}  // namespace

StatusOr<std::string> CleanSecret(std::string_view what, std::string_view value) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";  // U+FEFF
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  for (size_t before = value.size() + 1; value.size() < before;) {
    before = value.size();
    if (value.starts_with(kMark)) value.remove_prefix(kMark.size());
    if (value.ends_with(kMark)) value.remove_suffix(kMark.size());
    value.remove_prefix(std::min(value.find_first_not_of(kBlanks), value.size()));
    value.remove_suffix(value.size() - (value.find_last_not_of(kBlanks) + 1));
  }
  if (value.empty()) return Refuse(fmt::format("{} is empty", what));
  if (const std::string fault = FaultOf(value); !fault.empty()) return Refuse(fmt::format("{} {}", what, fault));
  return std::string(value);
}

StatusOr<Secret> Secret::FromEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  const std::string what = fmt::format("the environment variable {}", Excerpt(name));
  if (value == nullptr || *value == '\0') return Refuse(fmt::format("{} is not set", what));
  MR_ASSIGN_OR_RETURN(std::string cleaned, CleanSecret(what, value));
  return Secret(std::move(cleaned));
}

StatusOr<Secret> Secret::FromFile(const std::string& path) {
  const std::string name = Excerpt(std::filesystem::path(path).filename().string());
  // O_NONBLOCK: a pipe that nobody writes to fails at once instead of blocking open.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    return Refuse(fmt::format("the secret file {} can't be read: {}", name, std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) return Refuse(fmt::format("the secret file {} is not a regular file", name));
  std::string warning;
  if ((status.st_mode & kModeOfOthers) != 0) {
    warning =
        fmt::format("others than its owner can access the secret file {} (mode {:04o})", name, status.st_mode & 07777u);
    if (!IsReadOnlyMount(fd.get())) return Refuse(fmt::format("{}: chmod 600 {}", warning, name));
  }
  StatusOr<std::string> value = ReadAll(fd.get());
  if (!value.ok()) return WithContext(value.status(), fmt::format("the secret file {}", name));
  MR_ASSIGN_OR_RETURN(std::string cleaned, CleanSecret(fmt::format("the secret file {}", name), *value));
  Secret secret(std::move(cleaned));
  secret.warning_ = std::move(warning);
  return secret;
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
