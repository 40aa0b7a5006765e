// The files of the outside world that a run may touch.
#pragma once

#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// Check of the paths that a definition names. Blocks; any thread.
class FileAccess {
 public:
  virtual ~FileAccess() = default;

  // Returns the path to open for reading, if it is allowed: below a root, no `..`, no link out.
  // PERMISSION_DENIED (FILE_NOT_ALLOWED), FAILED_PRECONDITION (FILE_ERROR: it does not exist).
  virtual StatusOr<std::string> ForReading(std::string_view path) const = 0;

  // Returns the path to write to, with the same checks and errors. Its directory must exist; the file need not.
  virtual StatusOr<std::string> ForWriting(std::string_view path) const = 0;
};

}  // namespace millrace
