// Descriptors 0, 1 and 2 of a program.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace millrace {

// Opens those of the standard streams that the program was started without. Otherwise the next file that is opened,
// such as one of the store, would get the number and all that is printed. Each is opened in the wrong direction, so
// that reading or writing it fails. Call it before anything else is opened.
inline void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number, which is this one.
    [[maybe_unused]] const int opened = ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace millrace
