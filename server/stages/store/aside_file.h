// File that is written under a temporary name and renamed when it is complete and on the disk, so that readers see the
// old content or the new, never a part.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace::store {

// Returns the owner of a temporary file: a stage of a run. Two owners never write into one file, even if their paths
// are equal.
std::string AsideOwner(std::string_view run, std::string_view stage);

// A file in the making. The destructor removes it if Commit has not succeeded. Blocks, so it is for the pool; one
// thread at a time.
class AsideFile {
 public:
  // `path` is the final path, `shown` its name in errors. The temporary name is `.NAME.tmp-OWNER` in the same
  // directory; a file that an earlier attempt of the same owner left there is overwritten. All errors are FILE_ERROR.
  AsideFile(std::string path, std::string shown, std::string_view owner);
  ~AsideFile();
  AsideFile(const AsideFile&) = delete;

  // Creates the temporary file, with the mode of the file that it will replace.
  Status Open();
  // Appends bytes. Buffers up to 256 KiB, so that a later call or Commit may report the error.
  Status Write(std::string_view bytes);
  // Syncs the file, renames it and syncs the directory.
  Status Commit();

 private:
  Status Flush();
  Status Error(std::string_view what) const;

  const std::string path_;
  const std::string shown_;
  std::string directory_;
  std::string aside_;
  std::string buffer_;
  int file_ = -1;
};

}  // namespace millrace::store
