// Files of the outside world as runs may touch them: below the roots that the configuration names, and nowhere else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/files/byte_source.h"
#include "server/files/file_access.h"

namespace millrace {

// Allows paths below `read` and `write` roots. Relative paths are taken from the first root that has them (for writing:
// from the first root). Links are followed only where they stay below the root; `..` never leaves it.
class FileRoots final : public FileAccess {
 public:
  FileRoots(std::vector<std::string> read, std::vector<std::string> write)
      : read_(std::move(read)), write_(std::move(write)) {}

  StatusOr<std::string> ForReading(std::string_view path) const override;
  StatusOr<std::string> ForWriting(std::string_view path) const override;

 private:
  const std::vector<std::string> read_;
  const std::vector<std::string> write_;
};

// Returns the bytes of a file, read on the pool. FAILED_PRECONDITION (FILE_ERROR) if it can't be opened or is not a
// regular file. `loop` and `pool` must outlive it.
StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(Loop& loop, Pool& pool, const std::string& path);

}  // namespace millrace
