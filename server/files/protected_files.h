// Files of the server itself, which no run may read or write, whatever its roots are: a pipeline must not be able to
// overwrite the store or the configuration, or to send keys to a model. They are known by device and inode, so that
// other names (hard links, links, mounts) make no difference, and by directory and name, so that one which does not
// exist yet can't be made.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "server/base/status.h"

namespace millrace {

// A file of the server, or a directory with everything below it.
struct ProtectedFile {
  std::string path;  // need not exist
  std::string what;  // for messages: `the configuration`
  bool is_directory = false;
};

// Immutable; any thread. All methods block for a few system calls.
class ProtectedFiles {
 public:
  ProtectedFiles() = default;
  explicit ProtectedFiles(std::vector<ProtectedFile> files) : files_(std::move(files)) {}

  // PERMISSION_DENIED (FILE_NOT_ALLOWED) if the open directory is a protected one or below one, or belongs to the
  // system's view of its processes (/proc), which has the environment and the memory of this one. `shown` is the path
  // for the message.
  Status CheckDirectory(int directory, std::string_view shown) const;

  // PERMISSION_DENIED if the name in the open directory is that of a protected file, or the file that it has now (null:
  // none) is one by another name.
  Status CheckFile(int directory, const std::string& name, const struct stat* found, std::string_view shown) const;

 private:
  std::vector<ProtectedFile> files_;
};

}  // namespace millrace
