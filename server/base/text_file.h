// A small file as a whole.
#pragma once

#include <cstddef>
#include <string>

#include "server/base/status.h"

namespace millrace {

// What a file, or a pipe to its end, has. FILE_ERROR with the path and the system's reason: NOT_FOUND where there is
// none, else FAILED_PRECONDITION; INVALID_ARGUMENT (INVALID_DEFINITION) beyond `mib_max` MiB.
StatusOr<std::string> ReadTextFile(const std::string& path, size_t mib_max);

}  // namespace millrace
