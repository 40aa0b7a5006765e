#include "server/storage/disk_guard.h"

#include <sys/statvfs.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr int64_t kReopenRoom = int64_t{8} << 20;

}  // namespace

int64_t SystemDiskSpace::FreeBytes(const std::string& path) {
  struct statvfs disk {};
  if (statvfs(path.c_str(), &disk) != 0) return -1;
  return static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
}

void DiskGuard::Measure() {
  const int64_t free = space_.FreeBytes(path_);
  free_ = free;
  const int64_t enough = low_ ? reserve_ + reserve_ / 16 : reserve_;
  low_ = free >= 0 && free < enough;
}

bool DiskGuard::HasRoomToReopen() const { return free_ < 0 || free_ >= std::min(reserve_, kReopenRoom); }

}  // namespace millrace
