#include "server/stages/store/aside_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::store {
namespace {

constexpr size_t kBufferBytes = 256 << 10;

}  // namespace

std::string AsideOwner(std::string_view run, std::string_view stage) { return fmt::format("{}-{}", run, stage); }

AsideFile::AsideFile(std::string path, std::string shown, std::string_view owner)
    : path_(std::move(path)), shown_(std::move(shown)) {
  const size_t slash = path_.rfind('/');
  const std::string name = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  directory_ = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  aside_ = fmt::format("{}/.{}.tmp-{}", directory_, name, owner);
}

AsideFile::~AsideFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(aside_.c_str());
}

Status AsideFile::Error(std::string_view what) const {
  return MakeError(Reason::kFileError, fmt::format("{}: can't {}: {}", shown_, what, std::strerror(errno)));
}

Status AsideFile::Open() {
  file_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (file_ < 0) return Error("write beside it");
  struct stat old {};
  if (::stat(path_.c_str(), &old) == 0) {
    if (S_ISDIR(old.st_mode)) {
      errno = EISDIR;
      return Error("replace it");
    }
    // Gives the new file the mode of the old one, so that its readers keep their access.
    if (::fchmod(file_, old.st_mode & 07777) != 0) return Error("set its mode");
  }
  return absl::OkStatus();
}

Status AsideFile::Write(std::string_view bytes) {
  buffer_ += bytes;
  return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
}

Status AsideFile::Flush() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t written = ::write(file_, buffer_.data() + at, buffer_.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error("write it");
    at += static_cast<size_t>(written);
  }
  buffer_.clear();
  return absl::OkStatus();
}

Status AsideFile::Commit() {
  MR_RETURN_IF_ERROR(Flush());
  if (::fsync(file_) != 0) return Error("sync it");
  if (::rename(aside_.c_str(), path_.c_str()) != 0) return Error("replace it");
  ::close(file_);
  file_ = -1;
  // Syncs the directory; otherwise a power loss may undo the rename.
  const int directory = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return Error("open its directory");
  const int synced = ::fsync(directory);
  const Status status = synced == 0 ? absl::OkStatus() : Error("sync its directory");
  ::close(directory);
  return status;
}

}  // namespace millrace::store
