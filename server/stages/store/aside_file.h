// A file that is written aside and takes its name only when it is whole and on the disk: readers see the old content or
// the new, never a part.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace::store {

// Who writes: a stage of a run. Two of them never write into one file, whatever path both were given.
std::string AsideOwner(std::string_view run, std::string_view stage);

// Blocks: for the pool. One thread at a time. Destroyed before Commit, it removes what it wrote.
class AsideFile {
 public:
  // `path` is where it will be, `shown` how it is called in errors. It is written as `.NAME.tmp-OWNER` in the same
  // directory; what an earlier try of the same owner left there is overwritten.
  AsideFile(std::string path, std::string shown, std::string_view owner);
  ~AsideFile();
  AsideFile(const AsideFile&) = delete;

  Status Open();
  Status Write(std::string_view bytes);
  // Syncs it, renames it, and syncs the directory.
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
