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

AsideFile::AsideFile(OutputOpener open, std::string shown, std::string_view owner)
    : open_(std::move(open)), shown_(std::move(shown)), owner_(owner) {}

AsideFile::~AsideFile() {
  if (file_) ::unlinkat(place_.directory.get(), aside_.c_str(), 0);
}

Status AsideFile::Error(std::string_view what) const {
  return MakeError(Reason::kFileError, fmt::format("{}: can't {}: {}", shown_, what, std::strerror(errno)));
}

Status AsideFile::Open() {
  MR_ASSIGN_OR_RETURN(place_, open_());
  const int directory = place_.directory.get();
  aside_ = fmt::format(".{}.tmp-{}", place_.name, owner_);
  // A new file, not an old one made empty: the old one may be another name of a file that must not be written.
  ::unlinkat(directory, aside_.c_str(), 0);
  file_ = UniqueFd(::openat(directory, aside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file_) return Error("write beside it");
  struct stat old {};
  if (::fstatat(directory, place_.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(old.st_mode)) {
      errno = EISDIR;
      return Error("replace it");
    }
    // Gives the new file the mode of the old one, so that its readers keep their access.
    if (::fchmod(file_.get(), old.st_mode & 07777) != 0) return Error("set its mode");
  }
  return absl::OkStatus();
}

Status AsideFile::Write(std::string_view bytes) {
  buffer_ += bytes;
  return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
}

Status AsideFile::Flush() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t written = ::write(file_.get(), buffer_.data() + at, buffer_.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error("write it");
    at += static_cast<size_t>(written);
  }
  buffer_.clear();
  return absl::OkStatus();
}

Status AsideFile::Commit() {
  MR_RETURN_IF_ERROR(Flush());
  if (::fsync(file_.get()) != 0) return Error("sync it");
  const int directory = place_.directory.get();
  if (::renameat(directory, aside_.c_str(), directory, place_.name.c_str()) != 0) return Error("replace it");
  file_.Reset();
  // Syncs the directory; otherwise a power loss may undo the rename. The open one is only a place, so it is opened
  // again.
  const UniqueFd synced(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!synced) return Error("open its directory");
  return ::fsync(synced.get()) == 0 ? absl::OkStatus() : Error("sync its directory");
}

}  // namespace millrace::store
