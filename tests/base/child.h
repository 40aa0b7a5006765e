// Waiting for a child process that a test kills.
#pragma once

#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <ctime>

namespace millrace {

// Waits until `child` ends, for at most `limit`. Returns true if it has ended. REQUIRES: nobody has waited for it yet,
// so that its process id is still its own.
inline bool EndsWithin(pid_t child, std::chrono::nanoseconds limit) {
  // syscall instead of pidfd_open, which glibc 2.36 declares for C only.
  pollfd end{.fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), .events = POLLIN, .revents = 0};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (limit - seconds).count()};
  const bool has_ended = ::ppoll(&end, 1, &timeout, nullptr) > 0;
  ::close(end.fd);
  return has_ended;
}

}  // namespace millrace
