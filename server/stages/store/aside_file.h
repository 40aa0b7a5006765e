// File that is written under a temporary name and renamed when it is complete and on the disk, so that readers see the
// old content or the new, never a part.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/base/fd.h"
#include "server/base/status.h"
#include "server/files/file_access.h"

namespace millrace::store {

// Returns the owner of a temporary file: a stage of a run. Two owners never write into one file, even if their paths
// are equal.
std::string AsideOwner(std::string_view run, std::string_view stage);

// A file in the making. The destructor removes it if Commit has not succeeded. Blocks, so it is for the pool; one
// thread at a time.
class AsideFile {
 public:
  // `open` opens the place of the file, `shown` is its name in errors. The temporary name is `.NAME.tmp-OWNER` in the
  // same directory, which stays open until the end; a file that an earlier attempt of the same owner left there is
  // removed. All errors are FILE_ERROR, and those of `open`.
  AsideFile(OutputOpener open, std::string shown, std::string_view owner);
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

  const OutputOpener open_;
  const std::string shown_;
  const std::string owner_;
  OutputPlace place_;
  std::string aside_;
  std::string buffer_;
  UniqueFd file_;
};

}  // namespace millrace::store
