#include "client/cli/input_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::cli {
namespace {

// Interval at which a wait for a pipe checks for an interrupt.
constexpr int kStopCheckMillis = 100;

Status InputError(const std::string& path, const std::string& what) {
  return MakeError(Reason::kFileError, fmt::format("{}: {}", Excerpt(path, 256), what));
}

bool SameTime(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

}  // namespace

InputReader::InputReader(std::string path, int file, const struct stat& opened)
    : path_(std::move(path)), file_(file), opened_(opened) {}

InputReader::~InputReader() { ::close(file_); }

StatusOr<std::unique_ptr<InputReader>> InputReader::Open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (file < 0) {
    return InputError(path, std::strerror(errno));
  }
  struct stat opened {};
  if (::fstat(file, &opened) != 0) {
    const int error = errno;
    ::close(file);
    return InputError(path, std::strerror(error));
  }
  if (!S_ISREG(opened.st_mode) && !S_ISFIFO(opened.st_mode) && !S_ISCHR(opened.st_mode)) {
    ::close(file);
    return InputError(path, S_ISDIR(opened.st_mode) ? std::strerror(EISDIR) : "neither a file nor a pipe");
  }
  return std::unique_ptr<InputReader>(new InputReader(path, file, opened));
}

Status InputReader::Error(const std::string& what) const { return InputError(path_, what); }

StatusOr<std::string> InputReader::Read(int64_t offset, size_t limit, const std::function<bool()>& stopped) {
  if (S_ISREG(opened_.st_mode)) return ReadFile(offset, limit);
  if (offset != position_)
    return Error(fmt::format("a pipe can't be read from byte {}, only from its position {}", offset, position_));
  MR_ASSIGN_OR_RETURN(std::string part, ReadPipe(limit, stopped));
  position_ += static_cast<int64_t>(part.size());
  return part;
}

StatusOr<std::string> InputReader::ReadFile(int64_t offset, size_t limit) const {
  std::string part(limit, '\0');
  size_t have = 0;
  while (have < limit) {
    const ssize_t got = ::pread(file_, part.data() + have, limit - have, offset + static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(std::strerror(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  part.resize(have);
  // Check now: a file that grows faster than it is sent would never end.
  if (offset + static_cast<int64_t>(have) > opened_.st_size) return Error("the file changed while it was sent");
  if (have == 0) MR_RETURN_IF_ERROR(CheckEnd(offset));
  return part;
}

Status InputReader::CheckEnd(int64_t offset) const {
  struct stat now {};
  if (::fstat(file_, &now) != 0) return Error(std::strerror(errno));
  if (offset != opened_.st_size) {
    return Error(fmt::format("the file had {} bytes when it was opened, but ends after {}", opened_.st_size, offset));
  }
  if (now.st_size != opened_.st_size || !SameTime(now.st_mtim, opened_.st_mtim)) {
    return Error("the file changed while it was sent");
  }
  return absl::OkStatus();
}

StatusOr<std::string> InputReader::ReadPipe(size_t limit, const std::function<bool()>& stopped) const {
  std::string part(limit, '\0');
  while (true) {
    if (stopped()) return MakeError(Reason::kCancelled, "interrupted");
    pollfd ready{.fd = file_, .events = POLLIN, .revents = 0};
    const int count = ::poll(&ready, 1, kStopCheckMillis);
    if (count < 0 && errno != EINTR) return Error(std::strerror(errno));
    if (count <= 0) continue;
    const ssize_t got = ::read(file_, part.data(), part.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return Error(std::strerror(errno));
    part.resize(static_cast<size_t>(got));
    return part;
  }
}

}  // namespace millrace::cli
