// Certificates of authorities that the user names, for connections with TLS.
#pragma once

#include <string>

#include "server/base/status.h"

namespace millrace {

// Returns the content of a PEM file that has at least one certificate. FILE_ERROR if it can't be read,
// INVALID_DEFINITION if it has none or one that can't be read; both name the path. Blocks.
StatusOr<std::string> ReadCertificates(const std::string& path);

}  // namespace millrace
