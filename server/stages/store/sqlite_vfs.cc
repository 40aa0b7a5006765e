#include "server/stages/store/sqlite_vfs.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace millrace::store {
namespace {

constexpr char kVfsName[] = "millrace-open-directory";

int KeepPath(sqlite3_vfs*, const char* path, int out_bytes, char* out) {
  const size_t size = std::strlen(path) + 1;
  if (size > static_cast<size_t>(out_bytes)) return SQLITE_CANTOPEN;
  std::memcpy(out, path, size);
  return SQLITE_OK;
}

}  // namespace

std::shared_ptr<const UniqueFd> ShareDirectory(UniqueFd directory) {
  static std::mutex mutex;
  static std::map<std::pair<dev_t, ino_t>, std::weak_ptr<const UniqueFd>> open;  // guarded by mutex
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return std::make_shared<const UniqueFd>(std::move(directory));
  const std::lock_guard lock(mutex);
  std::erase_if(open, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const UniqueFd>& known = open[{status.st_dev, status.st_ino}];
  std::shared_ptr<const UniqueFd> shared = known.lock();
  if (!shared) known = shared = std::make_shared<const UniqueFd>(std::move(directory));
  return shared;
}

std::string PathInOpenDirectory(const UniqueFd& directory, const std::string& name) {
  return fmt::format("/proc/self/fd/{}/{}", directory.get(), name);
}

const char* VfsOfOpenDirectories() {
  // A copy of the system's, registered once for the life of the process, which never ends it.
  static const bool is_registered = [] {
    static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
    vfs.zName = kVfsName;
    vfs.xFullPathname = KeepPath;
    return sqlite3_vfs_register(&vfs, /*makeDflt=*/0) == SQLITE_OK;
  }();
  return is_registered ? kVfsName : nullptr;
}

}  // namespace millrace::store
