#include "server/files/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace millrace {
namespace {

constexpr int kPlace = O_PATH | O_DIRECTORY | O_CLOEXEC;
// The kernel gives up with EAGAIN if something is renamed on the way; a way that changes all the time is refused.
constexpr int kTries = 16;

// Returns whether openat2 itself is missing: old kernels say ENOSYS, filters of system calls EPERM.
bool IsMissing(int error) { return error == ENOSYS || error == EPERM || error == EINVAL || error == E2BIG; }

UniqueFd OpenByKernel(int base, const std::string& relative) {
  open_how how{};
  how.flags = kPlace;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int i = 0; i < kTries; ++i) {
    const long fd = ::syscall(SYS_openat2, base, relative.c_str(), &how, sizeof(how));
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return UniqueFd();
}

UniqueFd OpenBySteps(int base, const std::string& relative) {
  UniqueFd at(::openat(base, ".", kPlace));
  for (const std::filesystem::path& part : std::filesystem::path(relative)) {
    if (!at) break;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      errno = EXDEV;
      return UniqueFd();
    }
    at = UniqueFd(::openat(at.get(), part.c_str(), kPlace | O_NOFOLLOW));
  }
  return at;
}

}  // namespace

UniqueFd OpenDirectoryBeneath(int base, const std::string& relative, Walk walk) {
  const std::string way = relative.empty() ? "." : relative;
  if (walk == Walk::kKernel) {
    UniqueFd opened = OpenByKernel(base, way);
    if (opened || !IsMissing(errno)) return opened;
  }
  return OpenBySteps(base, way);
}

UniqueFd OpenDirectoryAt(const std::string& path, Walk walk) {
  const UniqueFd root(::open("/", kPlace));
  if (!root) return UniqueFd();
  return OpenDirectoryBeneath(
      root.get(),
      path.substr(path.find_first_not_of('/') == std::string::npos ? path.size() : path.find_first_not_of('/')), walk);
}

}  // namespace millrace
