// A child process that is to be killed at some moment.
#pragma once

#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <ctime>

namespace millrace {

// Waits until a child that nobody has waited for yet ends, at most so long. Whether it has.
inline bool EndsWithin(pid_t child, std::chrono::nanoseconds limit) {
  // Not by the C library's function: glibc 2.36 declares it for C alone.
  pollfd end{.fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), .events = POLLIN, .revents = 0};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (limit - seconds).count()};
  const bool has_ended = ::ppoll(&end, 1, &timeout, nullptr) > 0;
  ::close(end.fd);
  return has_ended;
}

}  // namespace millrace
