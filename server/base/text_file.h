// Reads a small file as a whole.
#pragma once

#include <cstddef>
#include <string>

#include "server/base/fd.h"
#include "server/base/status.h"

namespace millrace {

// Returns the content of a file, or of a pipe up to its end. FILE_ERROR, with the path and the system's message, if it
// can't be read; INVALID_DEFINITION if it has more than `mib_max` MiB. Blocks.
StatusOr<std::string> ReadTextFile(const std::string& path, size_t mib_max);

// Reads an open file in this way; `path` is its name in errors.
StatusOr<std::string> ReadTextFile(const UniqueFd& file, const std::string& path, size_t mib_max);

}  // namespace millrace
