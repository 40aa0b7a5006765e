#include "client/cli/output_file.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::cli {
namespace {

constexpr size_t kBufferBytes = 64u << 10;

}  // namespace

OutputFile::OutputFile(int fd) : fd_(fd), is_terminal_(::isatty(fd) == 1) {}

OutputFile::int_type OutputFile::overflow(int_type byte) {
  if (traits_type::eq_int_type(byte, traits_type::eof())) return traits_type::not_eof(byte);
  const char c = traits_type::to_char_type(byte);
  return xsputn(&c, 1) == 1 ? byte : traits_type::eof();
}

std::streamsize OutputFile::xsputn(const char* bytes, std::streamsize count) {
  if (error_ != 0) return 0;
  buffer_.append(bytes, static_cast<size_t>(count));
  const bool ends_line = is_terminal_ && buffer_.find('\n') != std::string::npos;
  if ((ends_line || buffer_.size() >= kBufferBytes) && !Flush()) return 0;
  return count;
}

int OutputFile::sync() { return Flush() ? 0 : -1; }

bool OutputFile::Flush() {
  size_t at = 0;
  while (error_ == 0 && at < buffer_.size()) {
    const ssize_t written = ::write(fd_, buffer_.data() + at, buffer_.size() - at);
    if (written >= 0) {
      at += static_cast<size_t>(written);
    } else if (errno == EAGAIN) {  // whoever started the program made the pipe non-blocking
      pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
  return error_ == 0;
}

Status OutputFile::Close() {
  Flush();
  if (::close(fd_) != 0 && error_ == 0) error_ = errno;
  if (error_ == 0) return absl::OkStatus();
  return MakeError(Reason::kFileError, fmt::format("the output can't be written: {}", std::strerror(error_)));
}

bool OutputFile::reader_left() const { return error_ == EPIPE; }

}  // namespace millrace::cli
