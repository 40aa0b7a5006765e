#include "server/files/protected_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "server/base/fd.h"

namespace millrace {
namespace {

// Directories above one another; deeper than any path can name.
constexpr int kDepthMax = 4096;

bool IsSame(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

Status Refuse(std::string_view shown, std::string_view what) {
  return MakeError(Reason::kFileNotAllowed,
                   fmt::format("{} is {}, which no run may read or write", Excerpt(shown, 256), what));
}

// Returns whether the directory has the file, by whatever name.
bool Has(const std::string& directory, const struct stat& file) {
  struct CloseDirectory {
    void operator()(DIR* opened) const { ::closedir(opened); }
  };
  const std::unique_ptr<DIR, CloseDirectory> listing(::opendir(directory.c_str()));
  if (!listing) return false;
  while (const dirent* entry = ::readdir(listing.get())) {
    struct stat status {};
    if (::fstatat(::dirfd(listing.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && IsSame(status, file)) {
      return true;
    }
  }
  return false;
}

}  // namespace

Status ProtectedFiles::CheckDirectory(int directory, std::string_view shown) const {
  struct statfs system {};
  if (::fstatfs(directory, &system) == 0 && system.f_type == PROC_SUPER_MAGIC) {
    return Refuse(shown, "a file of the system's processes");
  }
  std::vector<std::pair<struct stat, const ProtectedFile*>> wanted;
  for (const ProtectedFile& file : files_) {
    struct stat status {};
    if (file.is_directory && ::stat(file.path.c_str(), &status) == 0) wanted.emplace_back(status, &file);
  }
  if (wanted.empty()) return absl::OkStatus();
  // Upwards from the open directory, not by its path: that may lead elsewhere by now.
  UniqueFd at(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat here {};
  struct stat below {};
  for (int depth = 0; depth < kDepthMax && at && ::fstat(at.get(), &here) == 0; ++depth) {
    if (depth > 0 && IsSame(here, below)) return absl::OkStatus();  // the root
    for (const auto& [status, file] : wanted) {
      if (IsSame(here, status)) return Refuse(shown, fmt::format("in {}", file->what));
    }
    below = here;
    at = UniqueFd(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  // Silence would allow what could not be checked.
  return MakeError(Reason::kFileError, fmt::format("the directories above {} can't be looked at", Excerpt(shown, 256)));
}

Status ProtectedFiles::CheckFile(int directory, const std::string& name, const struct stat* found,
                                 std::string_view shown) const {
  struct stat folder {};
  if (::fstat(directory, &folder) != 0) {
    return MakeError(Reason::kFileError, fmt::format("the directory of {} can't be looked at", Excerpt(shown, 256)));
  }
  for (const ProtectedFile& file : files_) {
    struct stat own {};
    if (file.is_directory) {
      if (found != nullptr && found->st_nlink > 1 && Has(file.path, *found)) {
        return Refuse(shown, fmt::format("a file of {} by another name", file.what));
      }
      continue;
    }
    const std::filesystem::path path(file.path);
    const std::string parent = path.has_parent_path() ? path.parent_path().string() : ".";
    const bool is_named = path.filename() == name && ::stat(parent.c_str(), &own) == 0 && IsSame(own, folder);
    const bool is_same = found != nullptr && ::stat(file.path.c_str(), &own) == 0 && IsSame(own, *found);
    if (is_named || is_same) return Refuse(shown, file.what);
  }
  return absl::OkStatus();
}

}  // namespace millrace
