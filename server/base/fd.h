// A file descriptor with an owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace millrace {

// Owns a file descriptor, or none (-1), and closes it in its destructor. Errors of close are ignored, so data that must
// reach the disk is synced before.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Returns the descriptor and gives up its ownership.
  int Release() { return std::exchange(fd_, -1); }
  // Closes the descriptor and owns `fd` instead.
  void Reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace millrace
